// Adds up gaps in Rice's code: the next one of the unary words and a remainder of K bits. While the
// word has `any`, `take` goes on to the next weight; else the next word is to be loaded.
module decode_rice #(parameter N = 16, K = 2, P = 12, I = $clog2(N)) (
    input clk, start, load, take,
    input [N-1:0] word,
    input [K-1:0] remainder,
    output [P-1:0] position,
    output any
);
    reg [P-1:0] next;
    reg [P-K-1:0] zeros;  // of earlier words, less the bits of this one that were used
    wire [I-1:0] index;
    wire [P-K-1:0] quotient = zeros + index;
    decode_bitmap #(.N(N)) ones (
        .clk(clk), .load(load), .take(take), .word(word), .index(index), .any(any));
    assign position = next + {quotient, remainder};
    always @(posedge clk)
        if (start) begin
            next <= 0; zeros <= -N;
        end else if (load) zeros <= zeros + N;
        else if (take) begin
            next <= position + 1; zeros <= ~index;  // -(index + 1)
        end
endmodule
