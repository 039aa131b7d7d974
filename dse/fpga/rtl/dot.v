// Sum of N products of signed weights (W = 1: 0 is -1, 1 is +1) and unsigned codes, as a tree.
module dot #(parameter N = 4, W = 4, A = 4, parameter OUT = W + A + $clog2(N)) (
    input [N*W-1:0] weights,
    input [N*A-1:0] codes,
    output signed [OUT-1:0] sum
);
    localparam LOW = N / 2;
    generate
        if (W == 1 && A == 1 && N > 1) begin : binary
            // a sum of +-x is twice the x under a plus, less all x, whose count all rows share
            wire [$clog2(N+1)-1:0] plus, all;
            popcount #(.N(N)) of_plus (.bits(weights & codes), .count(plus));
            popcount #(.N(N)) of_all (.bits(codes), .count(all));
            assign sum = {plus, 1'b0} - all;
        end else if (N == 1) begin : leaf
            multiplier #(.W(W), .A(A)) one (.weight(weights), .code(codes), .product(sum));
        end else begin : halves
            wire signed [W+A+$clog2(LOW)-1:0] low;
            wire signed [W+A+$clog2(N-LOW)-1:0] high;
            dot #(.N(LOW), .W(W), .A(A)) of_low (
                .weights(weights[LOW*W-1:0]), .codes(codes[LOW*A-1:0]), .sum(low));
            dot #(.N(N - LOW), .W(W), .A(A)) of_high (
                .weights(weights[N*W-1:LOW*W]), .codes(codes[N*A-1:LOW*A]), .sum(high));
            assign sum = low + high;
        end
    endgenerate
endmodule
