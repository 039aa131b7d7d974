// Feeds vectors from codes.mem as fast as they are taken, prints accumulators and their cycles.
module matvec_tb;
    parameter ROWS = 4, COLUMNS = 8, PE = 2, SIMD = 4, W = 4, A = 4, ACC = 16, VECTORS = 3;
    parameter STALL = 0;  // every so many cycles the reader is not ready and nothing is offered
    reg clk = 0, reset = 1;
    reg [SIMD*A-1:0] codes [0:VECTORS*COLUMNS/SIMD-1];
    integer cycle = 0, fed = 0, got = 0, i;
    wire in_ready, out_valid;
    wire [PE*ACC-1:0] out_data;
    wire pause = STALL != 0 && cycle % (STALL + (STALL == 0)) == 0;
    wire in_valid = !reset && fed < VECTORS * COLUMNS / SIMD && !pause;
    matvec #(
        .ROWS(ROWS), .COLUMNS(COLUMNS), .PE(PE), .SIMD(SIMD), .W(W), .A(A), .ACC(ACC)
    ) unit (
        .clk(clk), .reset(reset), .in_data(codes[fed]), .in_valid(in_valid), .in_ready(in_ready),
        .out_data(out_data), .out_valid(out_valid), .out_ready(!pause)
    );
    always #1 clk = !clk;
    initial begin
        $readmemh("codes.mem", codes);
        #6 reset = 0;  // between edges
    end
    always @(posedge clk) begin
        if (!reset) cycle <= cycle + 1;
        if (in_valid && in_ready) fed <= fed + 1;
        if (!reset && out_valid && !pause) begin
            $write("%0d", cycle);
            for (i = 0; i < PE; i = i + 1) $write(" %0d", $signed(out_data[i*ACC +: ACC]));
            $write("\n");
            got <= got + 1;
            if (got == VECTORS * ROWS / PE - 1) $finish;
        end
        if (cycle > 1000000) begin $write("timeout\n"); $finish; end
    end
endmodule
