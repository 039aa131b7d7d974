// Matrix-vector unit: PE rows and SIMD columns per cycle, ROWS/PE * COLUMNS/SIMD cycles per vector.
// The first pass over the rows takes the vector in and keeps it for the other passes. Words of PE
// accumulators leave in the order of the rows. `valid` and `ready` as in AXI streams.
//
// <NAME>_<pe, 3 digits>.mem holds the weights of one PE, column 0 in the low bits; <NAME>_bias.mem a
// word of PE biases per pass. A bias has the width of an accumulator, which wraps. The styles (block
// or auto) say where weights and kept inputs go.
module matvec #(
    parameter ROWS = 4, COLUMNS = 8, PE = 2, SIMD = 4, W = 4, A = 4, ACC = 16, NAME = "layer",
    WEIGHT_STYLE = "block", INPUT_STYLE = "auto"
) (
    input clk, reset,
    input [SIMD*A-1:0] in_data,
    input in_valid,
    output in_ready,
    output [PE*ACC-1:0] out_data,
    output reg out_valid,
    input out_ready
);
    localparam STEPS = COLUMNS / SIMD, PASSES = ROWS / PE, DEPTH = STEPS * PASSES;
    localparam STEP = STEPS > 1 ? $clog2(STEPS) : 1;
    localparam PASS = PASSES > 1 ? $clog2(PASSES) : 1;
    localparam ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1;

    reg [STEP-1:0] step;
    reg [PASS-1:0] pass;
    reg [ADDRESS-1:0] address;
    (* ram_style = INPUT_STYLE *)
    reg [SIMD*A-1:0] kept [0:STEPS-1];
    reg [SIMD*A-1:0] codes;
    reg [PE*ACC-1:0] biases [0:PASSES-1];
    reg [PE*ACC-1:0] bias;
    reg busy, first, last;
    initial $readmemh({NAME, "_bias.mem"}, biases);

    wire move = !out_valid || out_ready;
    wire taking = pass == 0;
    wire go = !taking || in_valid;
    wire at_end = step == STEPS - 1;
    assign in_ready = move && taking;

    always @(posedge clk) begin
        if (move) begin
            codes <= taking ? in_data : kept[step];
            bias <= biases[pass];
            if (taking && in_valid) kept[step] <= in_data;
            busy <= go;
            first <= step == 0;
            last <= at_end;
            out_valid <= busy && last;
            if (go) begin
                step <= at_end ? 0 : step + 1;
                address <= address == DEPTH - 1 ? 0 : address + 1;
                if (at_end) pass <= pass == PASSES - 1 ? 0 : pass + 1;
            end
        end
        if (reset) begin
            step <= 0; pass <= 0; address <= 0; busy <= 0; out_valid <= 0;
        end
    end

    genvar i;
    generate for (i = 0; i < PE; i = i + 1) begin : row
        localparam [7:0] HUNDREDS = "0" + i / 100, TENS = "0" + i / 10 % 10, ONES = "0" + i % 10;
        pe #(
            .SIMD(SIMD), .W(W), .A(A), .ACC(ACC), .DEPTH(DEPTH), .ADDRESS(ADDRESS),
            .STYLE(WEIGHT_STYLE),
            .FILE({NAME, "_", HUNDREDS, TENS, ONES, ".mem"})
        ) unit (
            .clk(clk), .load(move && go), .add(move && busy), .first(first), .address(address),
            .codes(codes), .bias(bias[i*ACC +: ACC]), .acc(out_data[i*ACC +: ACC])
        );
    end endgenerate
endmodule
