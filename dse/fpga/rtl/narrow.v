// Hands a word on as N words of BITS bits, its lowest bits first.
module narrow #(parameter N = 2, BITS = 4) (
    input clk, reset,
    input [N*BITS-1:0] in_data,
    input in_valid,
    output in_ready,
    output [BITS-1:0] out_data,
    output reg out_valid,
    input out_ready
);
    reg [N*BITS-1:0] word;
    reg [$clog2(N)-1:0] left;
    assign in_ready = !out_valid || (out_ready && left == 0);
    assign out_data = word[BITS-1:0];

    always @(posedge clk) begin
        if (in_valid && in_ready) begin
            word <= in_data; left <= N - 1; out_valid <= 1;
        end else if (out_valid && out_ready) begin
            word <= word >> BITS; left <= left - 1; out_valid <= left != 0;
        end
        if (reset) out_valid <= 0;
    end
endmodule
