// Requantizes words of N accumulators. Row r of a pixel is in place r mod N of word r / N; with
// VARIES it has a multiplier and a shift of its own, {further, multiplier} in <NAME>_scale.mem, N to
// a word; else all have MULTIPLIER, shifted by FIXED.
module requantize #(
    parameter N = 1, ROWS = 4, ACC = 16, A = 4, PRE = 0, FIXED = 8, S = 1, LEAK = 0, ZERO = 0,
    LOW = 0, HIGH = 15, VARIES = 0, MULTIPLIER = 16384, NAME = "layer"
) (
    input clk, reset,
    input [N*ACC-1:0] in_data,
    input in_valid,
    output in_ready,
    output [N*A-1:0] out_data,
    output reg out_valid,
    input out_ready
);
    localparam PASSES = ROWS / N, PASS = PASSES > 1 ? $clog2(PASSES) : 1;
    reg busy;
    wire [N*(S+15)-1:0] scales;
    wire move = !out_valid || out_ready;
    assign in_ready = move;

    always @(posedge clk) begin
        if (move) begin
            busy <= in_valid; out_valid <= busy;
        end
        if (reset) begin
            busy <= 0; out_valid <= 0;
        end
    end

    genvar i;
    generate
        if (VARIES) begin : per_row
            reg [PASS-1:0] pass;
            reg [N*(S+15)-1:0] table_of_rows [0:PASSES-1];
            initial $readmemh({NAME, "_scale.mem"}, table_of_rows);
            assign scales = table_of_rows[pass];
            always @(posedge clk) begin
                if (move && in_valid) pass <= pass == PASSES - 1 ? 0 : pass + 1;
                if (reset) pass <= 0;
            end
        end else begin : all_alike
            localparam [14:0] ONE = MULTIPLIER;
            assign scales = {N{{S{1'b0}}, ONE}};
        end
        for (i = 0; i < N; i = i + 1) begin : each
            scale #(
                .ACC(ACC), .A(A), .PRE(PRE), .FIXED(FIXED), .S(S), .LEAK(LEAK), .ZERO(ZERO),
                .LOW(LOW), .HIGH(HIGH)
            ) one (
                .clk(clk), .move(move), .acc(in_data[i*ACC +: ACC]),
                .multiplier(scales[i*(S+15) +: 15]), .further(scales[i*(S+15)+15 +: S]),
                .code(out_data[i*A +: A])
            );
        end
    endgenerate
endmodule
