// Number of ones among N bits, as a tree.
module popcount #(parameter N = 4, parameter OUT = $clog2(N + 1)) (
    input [N-1:0] bits,
    output [OUT-1:0] count
);
    localparam LOW = N / 2;
    generate
        if (N == 1) begin : leaf
            assign count = bits;
        end else begin : halves
            wire [$clog2(LOW+1)-1:0] low;
            wire [$clog2(N-LOW+1)-1:0] high;
            popcount #(.N(LOW)) of_low (.bits(bits[LOW-1:0]), .count(low));
            popcount #(.N(N - LOW)) of_high (.bits(bits[N-1:LOW]), .count(high));
            assign count = low + high;
        end
    endgenerate
endmodule
