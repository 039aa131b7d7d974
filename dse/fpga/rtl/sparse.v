// A sparse unit in a stream: takes a code per cycle, hands on a row's accumulator per cycle, rows in
// their order. Each lane keeps its rows of two vectors, so one is computed while one leaves;
// <NAME>_order.mem says for every row {lane, place among the lane's rows}. A vector's last code is
// taken when at most one vector before it has not left, as lanes cannot be stopped.
module sparse #(
    parameter ROWS = 4, COLUMNS = 8, LANES = 2, DEPTH = 8, W = 4, A = 4, ACC = 16, NAME = "layer",
    WEIGHT_STYLE = "block", INPUT_STYLE = "auto", SUM_STYLE = "auto"
) (
    input clk, reset,
    input [A-1:0] in_data,
    input in_valid,
    output in_ready,
    output [ACC-1:0] out_data,
    output reg out_valid,
    input out_ready
);
    localparam OWN = ROWS / LANES, PLACE = OWN > 1 ? $clog2(OWN) : 1;
    localparam LANE = LANES > 1 ? $clog2(LANES) : 1;
    localparam ROW = ROWS > 1 ? $clog2(ROWS) : 1, COLUMN = COLUMNS > 1 ? $clog2(COLUMNS) : 1;

    reg [COLUMN-1:0] column;
    reg [1:0] pending, stored;  // vectors that have not left; those of them that are complete
    wire lanes_ready, done;
    wire [LANES*ACC-1:0] row_data, words;
    wire [LANES-1:0] row_valid;
    wire last_code = column == COLUMNS - 1;
    wire take = in_valid && in_ready;
    assign in_ready = lanes_ready && (!last_code || pending != 2);
    lanes #(
        .ROWS(ROWS), .COLUMNS(COLUMNS), .LANES(LANES), .DEPTH(DEPTH), .W(W), .A(A), .ACC(ACC),
        .NAME(NAME), .WEIGHT_STYLE(WEIGHT_STYLE), .INPUT_STYLE(INPUT_STYLE)
    ) unit (
        .clk(clk), .reset(reset), .in_data(in_data), .in_valid(take), .in_ready(lanes_ready),
        .row_data(row_data), .row_valid(row_valid), .done(done)
    );

    reg [LANE+PLACE-1:0] order [0:ROWS-1];
    initial $readmemh({NAME, "_order.mem"}, order);
    reg [ROW-1:0] row;
    reg side;  // which of the two vectors leaves
    reg [2:0] ending;  // registers of a lane between its last address and its last row
    reg [LANE-1:0] lane_read;
    wire [LANE+PLACE-1:0] entry = order[row];
    wire move = !out_valid || out_ready;
    wire read = move && stored != 0, last_read = read && row == ROWS - 1;
    assign out_data = words >> lane_read * ACC;

    always @(posedge clk) begin
        ending <= {ending[1:0], done};
        if (take) column <= last_code ? 0 : column + 1;
        pending <= pending + (take && last_code) - last_read;
        stored <= stored + ending[2] - last_read;
        if (move) out_valid <= read;
        if (read) begin
            lane_read <= entry[LANE+PLACE-1:PLACE];
            row <= last_read ? 0 : row + 1;
            if (last_read) side <= !side;
        end
        if (reset) begin
            column <= 0; pending <= 0; stored <= 0; ending <= 0; row <= 0; side <= 0; out_valid <= 0;
        end
    end

    genvar i;
    generate for (i = 0; i < LANES; i = i + 1) begin : each
        reg [PLACE-1:0] place;
        reg half;
        always @(posedge clk) begin
            if (row_valid[i]) begin
                place <= place == OWN - 1 ? 0 : place + 1;
                if (place == OWN - 1) half <= !half;
            end
            if (reset) begin
                place <= 0; half <= 0;
            end
        end
        bank #(.BITS(ACC), .DEPTH(2**(PLACE+1)), .ADDRESS(PLACE + 1), .STYLE(SUM_STYLE)) sums (
            .clk(clk), .write(row_valid[i]), .read(read), .write_address({half, place}),
            .read_address({side, entry[PLACE-1:0]}), .in_word(row_data[i*ACC +: ACC]),
            .word(words[i*ACC +: ACC]));
    end endgenerate
endmodule
