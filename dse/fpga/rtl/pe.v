// One row at a time: `load` reads SIMD weights, `add` in a later cycle adds their products to the
// accumulator, or to the bias at the `first` ones of a row.
module pe #(
    parameter SIMD = 4, W = 4, A = 4, ACC = 16, DEPTH = 16, ADDRESS = 4, FILE = "weights.mem",
    STYLE = "block"
) (
    input clk, load, add, first,
    input [ADDRESS-1:0] address,
    input [SIMD*A-1:0] codes,
    input signed [ACC-1:0] bias,
    output reg signed [ACC-1:0] acc
);
    (* rom_style = STYLE, ram_style = STYLE *)
    reg [SIMD*W-1:0] memory [0:DEPTH-1];
    reg [SIMD*W-1:0] word;
    initial $readmemh(FILE, memory);

    localparam SUM = W + A + $clog2(SIMD);
    wire signed [SUM-1:0] sum;
    dot #(.N(SIMD), .W(W), .A(A)) products (.weights(word), .codes(codes), .sum(sum));

    always @(posedge clk) begin
        if (load) word <= memory[address];
        if (add) acc <= (first ? bias : acc) + sum;
    end
endmodule
