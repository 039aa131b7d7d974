// Feeds vectors from codes.mem as fast as they are taken, prints every row's cycle, lane and sum.
module lanes_tb;
    parameter ROWS = 4, COLUMNS = 8, LANES = 2, DEPTH = 8, W = 4, A = 4, ACC = 16, VECTORS = 3;
    reg clk = 0, reset = 1;
    reg [A-1:0] codes [0:VECTORS*COLUMNS-1];
    integer cycle = 0, fed = 0, got = 0, i;
    wire in_ready, done;
    wire [LANES-1:0] row_valid;
    wire [LANES*ACC-1:0] row_data;
    wire in_valid = !reset && fed < VECTORS * COLUMNS;
    lanes #(
        .ROWS(ROWS), .COLUMNS(COLUMNS), .LANES(LANES), .DEPTH(DEPTH), .W(W), .A(A), .ACC(ACC)
    ) unit (
        .clk(clk), .reset(reset), .in_data(codes[fed]), .in_valid(in_valid), .in_ready(in_ready),
        .row_data(row_data), .row_valid(row_valid), .done(done)
    );
    always #1 clk = !clk;
    initial begin
        $readmemh("codes.mem", codes);
        #6 reset = 0;  // between edges
    end
    always @(posedge clk) begin
        if (!reset) cycle <= cycle + 1;
        if (in_valid && in_ready) fed <= fed + 1;
        for (i = 0; i < LANES; i = i + 1) if (!reset && row_valid[i]) begin
            $write("%0d %0d %0d\n", cycle, i, $signed(row_data[i*ACC +: ACC]));
            got = got + 1;
        end
        if (done) $write("done %0d\n", cycle);
        if (got == VECTORS * ROWS) $finish;
        if (cycle > 1000000) begin $write("timeout\n"); $finish; end
    end
endmodule
