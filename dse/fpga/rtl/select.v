// One of N bits: what a gather multiplexer takes per bit.
module select #(parameter N = 4, P = $clog2(N)) (
    input [N-1:0] bits,
    input [P-1:0] index,
    output bit_there
);
    assign bit_there = bits[index];
endmodule
