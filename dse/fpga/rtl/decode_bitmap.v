// Finds the ones of a word of N bits, bit 0 first: `index` is the next one while there is `any`, and
// `take` strikes it out. A word is loaded in the cycle in which the last one is taken, or later.
module decode_bitmap #(parameter N = 16, P = $clog2(N)) (
    input clk, load, take,
    input [N-1:0] word,
    output reg [P-1:0] index,
    output any
);
    reg [N-1:0] left;
    integer i;
    assign any = |left;
    always @* begin
        index = 0;
        for (i = N - 1; i >= 0; i = i - 1) if (left[i]) index = i;
    end
    always @(posedge clk)
        if (load) left <= word;
        else if (take) left <= left & (left - 1);
endmodule
