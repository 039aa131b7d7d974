// Sliding window: keeps ROWS rows of an image and hands on the KY x KX pixels of every output pixel,
// rows first, channels last, in words of BY x BX pixels of N channels. BY > 1 needs whole rows of the
// window (BX = KX, BY = KY), BX > 1 whole pixels (N = C). Beyond the image every code is ZERO.
//
// Pixel x of a row is in bank x mod BX, row y of the stream in bank y mod BY, so that the pixels of a
// word are in banks of their own; what is read is rotated into order. An output pixel starts when its
// last input pixel is there, and a row is given free when the output row that begins in it is read.
module window #(
    parameter H = 5, W = 5, C = 1, KY = 3, KX = 3, SY = 1, SX = 1, PY = 0, PX = 0,
    parameter A = 4, N = 1, BX = 1, BY = 1, ROWS = 4, ZERO = 0, STYLE = "auto"
) (
    input clk, reset,
    input [N*A-1:0] in_data,
    input in_valid,
    output in_ready,
    output [BY*BX*N*A-1:0] out_data,
    output reg out_valid,
    input out_ready
);
    localparam OH = (H + 2 * PY - KY) / SY + 1, OW = (W + 2 * PX - KX) / SX + 1;
    localparam GROUPS = C / N, LINE = (W + BX - 1) / BX * GROUPS;  // words of a row in a bank
    localparam DEPTH = ROWS / BY * LINE, STEPS = KX / BX * GROUPS;
    localparam ON = H - (OH - 1) * SY;  // rows from the last output row to the next image's first
    localparam RING_ON = (ON % ROWS + ROWS) % ROWS;  // the same in the ring: ON may be negative
    localparam ABOVE = (ROWS - PY % ROWS) % ROWS;  // row of the ring where the first window begins
    localparam LEFT = (PX + BX - 1) / BX;  // columns of banks beside the image
    localparam WORD = N * A, PHASE = BX > 1 ? $clog2(BX) : 1, TURN = BY > 1 ? $clog2(BY) : 1;
    localparam ADDRESS = $clog2(DEPTH + LINE + STEPS + 1) + 1;  // signed: left of the first row, too
    localparam COUNT = $clog2(ROWS + H + KY + 1) + 1;
    localparam XBITS = $clog2(W + 2 * PX + KX + 1) + 1, YBITS = $clog2(H + 2 * PY + KY + 1) + 1;

    // writing
    reg [$clog2(GROUPS+1)-1:0] group;
    reg signed [XBITS-1:0] x;
    reg [PHASE-1:0] bank_x;
    reg [TURN-1:0] bank_y;
    reg signed [ADDRESS-1:0] line, column;
    wire take = in_valid && in_ready;
    wire pixel_ends = group == GROUPS - 1, row_ends = pixel_ends && x == W - 1;
    wire pass_column = BX == 1 || bank_x == BX - 1;

    // reading
    reg signed [COUNT-1:0] ahead;  // whole rows that are there, from the window's first one on
    reg signed [YBITS-1:0] top, y;  // of the window, of the word
    reg signed [XBITS-1:0] left, across;
    reg [TURN-1:0] turn;
    reg [PHASE-1:0] phase;
    reg signed [ADDRESS-1:0] base, current, side;
    reg [$clog2(STEPS+1)-1:0] step;
    reg [$clog2(GROUPS+1)-1:0] part;
    reg [$clog2(KY+1)-1:0] ky;
    wire first = step == 0 && ky == 0;
    wire signed [COUNT-1:0] below = H - 1 - top;  // rows of the image under the window's first one
    wire signed [COUNT-1:0] last_row = below < KY - 1 ? below : KY - 1;
    wire signed [XBITS-1:0] last_x = left + KX - 1 < W - 1 ? left + KX - 1 : W - 1;
    wire there = ahead > last_row || (ahead == last_row && x > last_x);
    wire move = !out_valid || out_ready;
    wire go = move && (!first || there);
    wire line_read = step == STEPS - 1, pixel_read = line_read && ky == KY / BY - 1;
    wire row_read = pixel_read && left + SX > W + PX - KX;
    wire image_read = row_read && top + SY > H + PY - KY;
    wire signed [ADDRESS-1:0] following = current + LINE >= DEPTH ? current + LINE - DEPTH : current + LINE;

    assign in_ready = ahead < ROWS;

    // the window's first row moves on by SY rows, or by ON
    localparam [TURN-1:0] TURN_SY = SY % BY, TURN_ON = RING_ON % BY;
    localparam SLOTS = ROWS / BY;
    wire [TURN:0] turned = turn + (image_read ? TURN_ON : TURN_SY);
    wire carry_y = BY > 1 && turned >= BY;
    wire signed [ADDRESS:0] moved = base + (image_read ? RING_ON / BY * LINE : SY / BY % SLOTS * LINE)
        + (carry_y ? LINE : 0);
    wire signed [ADDRESS-1:0] next_base = moved >= DEPTH ? moved - DEPTH : moved;
    wire [PHASE:0] phased = phase + SX % BX;
    wire carry_x = BX > 1 && phased >= BX;

    always @(posedge clk) begin
        if (take) begin
            group <= pixel_ends ? 0 : group + 1;
            if (pixel_ends) begin
                x <= x == W - 1 ? 0 : x + 1;
                bank_x <= row_ends || pass_column ? 0 : bank_x + 1;
            end
            if (pass_column) column <= column + 1;
            if (row_ends) begin
                column <= 0;
                bank_y <= BY == 1 || bank_y == BY - 1 ? 0 : bank_y + 1;
                if (BY == 1 || bank_y == BY - 1) line <= line + LINE >= DEPTH ? 0 : line + LINE;
            end
        end
        ahead <= ahead + (take && row_ends ? 1 : 0) - (go && row_read ? (image_read ? ON : SY) : 0);
        if (move) out_valid <= go;
        if (go) begin
            part <= part == GROUPS - 1 ? 0 : part + 1;
            if (part == GROUPS - 1) across <= across + BX;
            step <= line_read ? 0 : step + 1;
            if (line_read) begin
                across <= left;
                ky <= pixel_read ? 0 : ky + 1;
                current <= pixel_read ? base : following;
                y <= pixel_read ? top : y + BY;
            end
            if (pixel_read) begin
                left <= row_read ? -PX : left + SX;
                across <= row_read ? -PX : left + SX;
                phase <= row_read ? LEFT * BX - PX : carry_x ? phased - BX : phased;
                side <= row_read ? -LEFT * GROUPS : side + SX / BX * GROUPS + (carry_x ? 1 : 0);
            end
            if (row_read) begin
                top <= image_read ? -PY : top + SY;
                y <= image_read ? -PY : top + SY;
                turn <= carry_y ? turned - BY : turned;
                base <= next_base;
                current <= next_base;
            end
        end
        if (reset) begin
            group <= 0; x <= 0; bank_x <= 0; bank_y <= 0; line <= 0; column <= 0;
            ahead <= PY; top <= -PY; y <= -PY; left <= -PX; across <= -PX;
            phase <= LEFT * BX - PX; side <= -LEFT * GROUPS; step <= 0; part <= 0; ky <= 0;
            turn <= ABOVE % BY; base <= ABOVE / BY * LINE; current <= ABOVE / BY * LINE;
            out_valid <= 0;
        end
    end

    // banks, and a cycle later the rotation of what they hold
    reg [PHASE-1:0] phase_read;
    reg [TURN-1:0] turn_read;
    reg [BX-1:0] within_x;
    reg [BY-1:0] within_y;
    wire [BY*BX*WORD-1:0] words;
    // rotated by one place more, or two, or four, as the bits of the phase say: a LUT per two of them
    wire [(TURN+1)*BY*BX*WORD-1:0] by_row;
    wire [(PHASE+1)*BY*BX*WORD-1:0] by_column;
    assign by_row[0 +: BY*BX*WORD] = words;
    assign by_column[0 +: BY*BX*WORD] = by_row[TURN*BY*BX*WORD +: BY*BX*WORD];
    wire signed [ADDRESS-1:0] here = side + step;
    integer n;
    always @(posedge clk) if (go) begin
        phase_read <= phase;
        turn_read <= turn;
        for (n = 0; n < BX; n = n + 1) within_x[n] <= across + n >= 0 && across + n < W;
        for (n = 0; n < BY; n = n + 1) within_y[n] <= y + n >= 0 && y + n < H;
    end

    genvar i, j, s;
    generate for (j = 0; j < BY; j = j + 1) begin : rows
        for (s = 0; s < TURN; s = s + 1) begin : turns
            assign by_row[(s*BY+j)*BX*WORD + BY*BX*WORD +: BX*WORD] = turn_read[s]
                ? by_row[(s*BY+(j+(1<<s))%BY)*BX*WORD +: BX*WORD] : by_row[(s*BY+j)*BX*WORD +: BX*WORD];
        end
        for (i = 0; i < BX; i = i + 1) begin : columns
            wire signed [ADDRESS-1:0] at = (j < turn ? following : current) + here + (i < phase ? 1 : 0);
            wire [ADDRESS-1:0] to = line + column;
            bank #(.BITS(WORD), .DEPTH(DEPTH), .ADDRESS(ADDRESS), .STYLE(STYLE)) memory (
                .clk(clk), .write(take && bank_x == i && bank_y == j), .read(go),
                .write_address(to), .read_address(at), .in_word(in_data),
                .word(words[(j*BX+i)*WORD +: WORD]));
            for (s = 0; s < PHASE; s = s + 1) begin : phases
                assign by_column[((s+1)*BY*BX+j*BX+i)*WORD +: WORD] = phase_read[s]
                    ? by_column[(s*BY*BX+j*BX+(i+(1<<s))%BX)*WORD +: WORD]
                    : by_column[(s*BY*BX+j*BX+i)*WORD +: WORD];
            end
            localparam [A-1:0] OUTSIDE = ZERO;
            assign out_data[(j*BX+i)*WORD +: WORD] = within_x[i] && within_y[j]
                ? by_column[(PHASE*BY*BX+j*BX+i)*WORD +: WORD] : {N{OUTSIDE}};
        end
    end endgenerate
endmodule
