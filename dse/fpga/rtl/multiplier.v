// Product of a signed weight of W bits (W = 1: 0 is -1, 1 is +1) and an unsigned code of A bits, row
// by row over the narrower operand: a row adds its term to what is above the bits that are done.
// Spelled out, since `*` in LUTs takes twice as many with yosys.
module multiplier #(parameter W = 4, A = 4) (
    input [W-1:0] weight,
    input [A-1:0] code,
    output [W+A-1:0] product
);
    genvar i;
    generate
        if (W == 1) begin : sign
            assign product = weight[0] ? {1'b0, code} : -{1'b0, code};
        end else if (W <= A) begin : over_weight
            wire [A:0] sum [0:W-1];
            assign sum[0] = {1'b0, code & {A{weight[0]}}};
            for (i = 1; i < W; i = i + 1) begin : row
                wire [A:0] above = {1'b0, sum[i-1][A:1]};
                wire [A:0] term = {1'b0, code & {A{weight[i]}}};
                // the top bit of two's complement counts negative
                assign sum[i] = i == W - 1 ? above - term : above + term;
                assign product[i-1] = sum[i-1][0];
            end
            assign product[W+A-1:W-1] = sum[W-1];
        end else begin : over_code
            wire [W:0] sum [0:A-1];
            assign sum[0] = {weight[W-1], weight} & {W+1{code[0]}};
            for (i = 1; i < A; i = i + 1) begin : row
                wire [W:0] above = {sum[i-1][W], sum[i-1][W:1]};
                wire [W:0] term = {weight[W-1], weight} & {W+1{code[i]}};
                assign sum[i] = above + term;
                assign product[i-1] = sum[i-1][0];
            end
            assign product[W+A-1:A-1] = sum[A-1];
        end
    endgenerate
endmodule
