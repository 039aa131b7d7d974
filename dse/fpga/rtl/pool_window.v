// Pools windows that come whole, K pixels of N channels in a word: the largest code of each channel,
// or with SUM the sum of START and its codes. A word per cycle.
module pool_window #(parameter K = 4, N = 1, A = 4, OUT = 4, SUM = 0, START = 0) (
    input clk, reset,
    input [K*N*A-1:0] in_data,
    input in_valid,
    output in_ready,
    output reg [N*OUT-1:0] out_data,
    output reg out_valid,
    input out_ready
);
    reg [N*OUT-1:0] next;
    reg [OUT-1:0] so_far;
    integer i, k;
    assign in_ready = !out_valid || out_ready;

    always @* for (i = 0; i < N; i = i + 1) begin
        so_far = SUM ? START : 0;
        for (k = 0; k < K; k = k + 1)
            if (SUM) so_far = so_far + in_data[(k*N+i)*A +: A];
            else if (in_data[(k*N+i)*A +: A] > so_far) so_far = in_data[(k*N+i)*A +: A];
        next[i*OUT +: OUT] = so_far;
    end

    always @(posedge clk) begin
        if (in_ready) begin
            out_data <= next;
            out_valid <= in_valid;
        end
        if (reset) out_valid <= 0;
    end
endmodule
