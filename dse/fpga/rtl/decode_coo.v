// Sees where the row of COO entries changes; the first entry after `start` begins one, too.
module decode_coo #(parameter P = 8) (
    input clk, start, take,
    input [P-1:0] row,
    output begins
);
    reg [P-1:0] last;
    reg none;
    assign begins = none || row != last;
    always @(posedge clk)
        if (start) none <= 1;
        else if (take) begin
            last <= row; none <= 0;
        end
endmodule
