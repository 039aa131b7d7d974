// Walks through CSR entries: `entry` is the next one while it is `there`, before the `row_end` of the
// current row; else `take` goes on to the next row, whose end must come with it.
module decode_rows #(parameter P = 12) (
    input clk, start, take,
    input [P-1:0] row_end,
    output reg [P-1:0] entry,
    output there
);
    reg [P-1:0] until;
    assign there = entry != until;
    always @(posedge clk)
        if (start) begin
            entry <= 0; until <= row_end;
        end else if (take) begin
            if (there) entry <= entry + 1; else until <= row_end;
        end
endmodule
