// First in, first out, for more words than shift registers should hold: DEPTH words in a memory.
module queue #(parameter BITS = 4, DEPTH = 64, STYLE = "auto") (
    input clk, reset,
    input [BITS-1:0] in_data,
    input in_valid,
    output in_ready,
    output [BITS-1:0] out_data,
    output reg out_valid,
    input out_ready
);
    localparam ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1;
    reg [ADDRESS-1:0] newest, oldest;
    reg [$clog2(DEPTH+1)-1:0] count;
    wire push = in_valid && in_ready, pop = count != 0 && (!out_valid || out_ready);
    assign in_ready = count != DEPTH;
    bank #(.BITS(BITS), .DEPTH(DEPTH), .ADDRESS(ADDRESS), .STYLE(STYLE)) memory (
        .clk(clk), .write(push), .read(pop), .write_address(newest), .read_address(oldest),
        .in_word(in_data), .word(out_data));

    always @(posedge clk) begin
        if (push) newest <= newest == DEPTH - 1 ? 0 : newest + 1;
        if (pop) oldest <= oldest == DEPTH - 1 ? 0 : oldest + 1;
        if (push != pop) count <= push ? count + 1 : count - 1;
        if (pop) out_valid <= 1;
        else if (out_ready) out_valid <= 0;
        if (reset) begin
            newest <= 0; oldest <= 0; count <= 0; out_valid <= 0;
        end
    end
endmodule
