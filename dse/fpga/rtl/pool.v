// Pools windows that do not overlap: the largest code of each, or with SUM the sum of START and its
// codes. Takes a word of N channels per cycle, GROUPS words per pixel; pixels beyond the last whole
// window are dropped. Keeps a row of what the windows have so far.
module pool #(
    parameter H = 4, W = 4, KY = 2, KX = 2, N = 1, GROUPS = 1, A = 4, OUT = 4, SUM = 0, START = 0
) (
    input clk, reset,
    input [N*A-1:0] in_data,
    input in_valid,
    output in_ready,
    output reg [N*OUT-1:0] out_data,
    output reg out_valid,
    input out_ready
);
    localparam WORDS = W / KX * GROUPS, ADDRESS = WORDS > 1 ? $clog2(WORDS) : 1;
    reg [$clog2(GROUPS+1)-1:0] group;
    reg [$clog2(W+1)-1:0] x;
    reg [$clog2(H+1)-1:0] y;
    reg [$clog2(KX+1)-1:0] kx;  // within the window
    reg [$clog2(KY+1)-1:0] ky;
    reg [ADDRESS-1:0] first_word;  // of the window's pixel
    reg [N*OUT-1:0] row [0:WORDS-1];

    wire [ADDRESS-1:0] address = first_word + group;
    wire [N*OUT-1:0] kept = row[address];
    wire [N*OUT-1:0] next;
    wire take = in_valid && in_ready;
    wire covered = x < W / KX * KX && y < H / KY * KY;
    wire pixel_ends = group == GROUPS - 1, line_ends = x == W - 1;
    wire last_x = kx == KX - 1, last_y = ky == KY - 1;
    assign in_ready = !out_valid || out_ready;

    genvar i;
    generate for (i = 0; i < N; i = i + 1) begin : each
        wire [A-1:0] code = in_data[i*A +: A];
        wire [OUT-1:0] so_far = kept[i*OUT +: OUT];
        wire first = kx == 0 && ky == 0;
        if (SUM) assign next[i*OUT +: OUT] = (first ? START : so_far) + code;
        else assign next[i*OUT +: OUT] = first || code > so_far ? code : so_far;
    end endgenerate

    always @(posedge clk) begin
        if (out_ready) out_valid <= 0;
        if (take) begin
            if (covered) row[address] <= next;
            out_data <= next;
            out_valid <= covered && last_x && last_y;
            group <= pixel_ends ? 0 : group + 1;
            if (pixel_ends) begin
                x <= line_ends ? 0 : x + 1;
                kx <= last_x || line_ends ? 0 : kx + 1;
                if (line_ends) begin
                    first_word <= 0;
                    y <= y == H - 1 ? 0 : y + 1;
                    ky <= last_y || y == H - 1 ? 0 : ky + 1;
                end else if (last_x) first_word <= first_word + GROUPS;
            end
        end
        if (reset) begin
            group <= 0; x <= 0; y <= 0; kx <= 0; ky <= 0; first_word <= 0; out_valid <= 0;
        end
    end
endmodule
