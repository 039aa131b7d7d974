// Sparse matrix-vector unit: LANES lanes that read only the non-zeros of their rows, one per cycle.
// Every lane keeps a copy of the activations, two vectors deep: one is taken in, a code per cycle,
// while the lanes compute with the other. All lanes start a vector together; the busiest sets the
// pace. `row_valid[i]` marks the cycle in which lane i shows the accumulator of its next row.
//
// Lane i reads <NAME>_<i, 3 digits>.mem, {column, weight} per non-zero, row after row (a row without
// any holds one zero), and <NAME>_<i>_rows.mem, {bias, end of the row in the first file}.
module lanes #(
    parameter ROWS = 4, COLUMNS = 8, LANES = 2, DEPTH = 8, W = 4, A = 4, ACC = 16, NAME = "layer",
    WEIGHT_STYLE = "block", INPUT_STYLE = "auto"
) (
    input clk, reset,
    input [A-1:0] in_data,
    input in_valid,
    output in_ready,
    output [LANES*ACC-1:0] row_data,
    output [LANES-1:0] row_valid,
    output done
);
    localparam COLUMN = COLUMNS > 1 ? $clog2(COLUMNS) : 1;

    reg [COLUMN-1:0] column;
    reg filling, computing;  // which of the two vectors
    reg full, busy;          // a vector waits; one is computed
    reg write, write_bank;   // a cycle later: lanes still read the vector that is done
    reg [COLUMN-1:0] write_column;
    reg [A-1:0] code;
    wire [LANES-1:0] idle;
    wire start = full && (!busy || done);
    assign done = busy && &idle;
    assign in_ready = !full || start;

    always @(posedge clk) begin
        if (start) begin
            busy <= 1; full <= 0; computing <= filling; filling <= !filling;
        end else if (done) busy <= 0;
        write <= in_valid && in_ready;
        write_bank <= start ? !filling : filling;
        write_column <= column;
        code <= in_data;
        if (in_valid && in_ready) begin
            column <= column == COLUMNS - 1 ? 0 : column + 1;
            if (column == COLUMNS - 1) full <= 1;
        end
        if (reset) begin
            column <= 0; filling <= 0; computing <= 0; full <= 0; busy <= 0;
        end
    end

    genvar i;
    generate for (i = 0; i < LANES; i = i + 1) begin : each
        localparam [7:0] HUNDREDS = "0" + i / 100, TENS = "0" + i / 10 % 10, ONES = "0" + i % 10;
        lane #(
            .ROWS(ROWS / LANES), .COLUMNS(COLUMNS), .DEPTH(DEPTH), .W(W), .A(A), .ACC(ACC),
            .WEIGHT_STYLE(WEIGHT_STYLE), .INPUT_STYLE(INPUT_STYLE),
            .NAME({NAME, "_", HUNDREDS, TENS, ONES})
        ) unit (
            .clk(clk), .reset(reset), .start(start), .bank(computing),
            .write(write), .write_bank(write_bank), .write_column(write_column), .code(code),
            .acc(row_data[i*ACC +: ACC]), .valid(row_valid[i]), .idle(idle[i])
        );
    end endgenerate
endmodule
