// Adds up run-length entries: `position` is that of the entry's weight, the first one after `start`.
// With MARK an entry of all ones is a filler that has no weight; without, its weight is a zero.
module decode_gaps #(parameter R = 4, P = 12, MARK = 0) (
    input clk, start, take,
    input [R-1:0] gap,
    output [P-1:0] position,
    output present
);
    reg [P-1:0] next;
    assign present = !MARK || !(&gap);
    assign position = next + gap;
    always @(posedge clk)
        if (start) next <= 0;
        else if (take) next <= position + present;
endmodule
