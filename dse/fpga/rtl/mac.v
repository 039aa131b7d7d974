// Multiply and accumulate: one product per cycle into a register.
module mac #(parameter W = 4, A = 4, ACC = 16) (
    input clk, clear,
    input [W-1:0] weight,
    input [A-1:0] code,
    output reg signed [ACC-1:0] acc
);
    wire signed [W+A-1:0] product;
    multiplier #(.W(W), .A(A)) multiply (.weight(weight), .code(code), .product(product));
    always @(posedge clk) if (clear) acc <= 0; else acc <= acc + product;
endmodule
