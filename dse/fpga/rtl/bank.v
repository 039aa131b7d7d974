// Memory of DEPTH words with a port to write and a port to read, the word read in a register.
module bank #(parameter BITS = 4, DEPTH = 16, ADDRESS = 4, STYLE = "auto") (
    input clk, write, read,
    input [ADDRESS-1:0] write_address, read_address,
    input [BITS-1:0] in_word,
    output reg [BITS-1:0] word
);
    (* ram_style = STYLE *)
    reg [BITS-1:0] words [0:DEPTH-1];
    always @(posedge clk) begin
        if (write) words[write_address] <= in_word;
        if (read) word <= words[read_address];
    end
endmodule
