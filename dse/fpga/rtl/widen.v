// Gathers N words of BITS bits into one, the first of them lowest.
module widen #(parameter N = 2, BITS = 4) (
    input clk, reset,
    input [BITS-1:0] in_data,
    input in_valid,
    output in_ready,
    output reg [N*BITS-1:0] out_data,
    output reg out_valid,
    input out_ready
);
    reg [$clog2(N)-1:0] count;
    wire last = count == N - 1;
    assign in_ready = !out_valid || out_ready;

    always @(posedge clk) begin
        if (out_ready) out_valid <= 0;
        if (in_valid && in_ready) begin
            out_data <= {in_data, out_data[N*BITS-1:BITS]};
            out_valid <= last;
            count <= last ? 0 : count + 1;
        end
        if (reset) begin
            count <= 0; out_valid <= 0;
        end
    end
endmodule
