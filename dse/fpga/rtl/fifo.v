// First in, first out: DEPTH words in shift registers, which a LUT holds 32 bits of.
module fifo #(parameter BITS = 4, DEPTH = 32) (
    input clk, reset,
    input [BITS-1:0] in_data,
    input in_valid,
    output in_ready,
    output [BITS-1:0] out_data,
    output out_valid,
    input out_ready
);
    reg [$clog2(DEPTH+1)-1:0] count;
    wire [$clog2(DEPTH)-1:0] oldest = count - 1;
    wire push = in_valid && in_ready, pop = out_valid && out_ready;
    assign in_ready = count != DEPTH;
    assign out_valid = count != 0;

    genvar i;
    generate for (i = 0; i < BITS; i = i + 1) begin : each
        reg [DEPTH-1:0] bits;
        always @(posedge clk) if (push) bits <= {bits[DEPTH-2:0], in_data[i]};
        assign out_data[i] = bits[oldest];
    end endgenerate

    always @(posedge clk) begin
        if (push != pop) count <= push ? count + 1 : count - 1;
        if (reset) count <= 0;
    end
endmodule
