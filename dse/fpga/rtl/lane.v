// One lane of a sparse unit: its non-zeros in order, a copy of the activations, an accumulator.
// `idle` is high in the cycle of the lane's last address, so that vectors follow without a gap.
module lane #(
    parameter ROWS = 2, COLUMNS = 8, DEPTH = 8, W = 4, A = 4, ACC = 16, NAME = "layer_000",
    WEIGHT_STYLE = "block", INPUT_STYLE = "auto"
) (
    input clk, reset, start, bank,
    input write, write_bank,
    input [(COLUMNS > 1 ? $clog2(COLUMNS) : 1)-1:0] write_column,
    input [A-1:0] code,
    output reg signed [ACC-1:0] acc,
    output reg valid,
    output idle
);
    localparam COLUMN = COLUMNS > 1 ? $clog2(COLUMNS) : 1;
    localparam POINTER = $clog2(DEPTH + 1);
    localparam ROW = ROWS > 1 ? $clog2(ROWS) : 1;

    (* rom_style = WEIGHT_STYLE, ram_style = WEIGHT_STYLE *)
    reg [COLUMN+W-1:0] entries [0:DEPTH-1];
    reg [ACC+POINTER-1:0] rows [0:ROWS-1];
    (* ram_style = INPUT_STYLE *)
    reg [A-1:0] activations [0:2**(COLUMN+1)-1];
    initial $readmemh({NAME, ".mem"}, entries);
    initial $readmemh({NAME, "_rows.mem"}, rows);

    reg [POINTER-1:0] pointer;
    reg [ROW-1:0] row;
    reg running, reading, adding, bank_read;
    reg first, first_read, first_add, last_read, last;
    reg signed [ACC-1:0] bias, bias_read;
    reg [ACC+POINTER-1:0] current;
    reg final_row;  // of the vector: `current` is row ROWS - 1
    reg [COLUMN+W-1:0] entry;
    reg [A-1:0] operand;
    reg [W-1:0] weight;

    wire at_row_end = pointer + 1 == current[POINTER-1:0];
    wire at_end = at_row_end && final_row;
    assign idle = !running || at_end;
    wire signed [W+A-1:0] product;
    multiplier #(.W(W), .A(A)) multiply (.weight(weight), .code(operand), .product(product));

    always @(posedge clk) begin
        if (write) activations[{write_bank, write_column}] <= code;
        // address
        if (start) begin
            running <= 1; pointer <= 0; first <= 1;
        end else if (running) begin
            if (at_end) running <= 0;
            pointer <= pointer + 1;
            first <= at_row_end;
        end
        // `row` is the next one, 0 while the last one runs and when idle; `current` is ahead of its use
        if (!running || at_row_end) begin
            current <= rows[row];
            final_row <= row == ROWS - 1;
        end
        if (start || running && at_row_end && !final_row) row <= row == ROWS - 1 ? 0 : row + 1;
        // non-zero
        entry <= entries[pointer];
        reading <= running; first_read <= first; last_read <= at_row_end;
        bias_read <= current[ACC+POINTER-1:POINTER]; bank_read <= bank;
        // its activation
        operand <= activations[{bank_read, entry[COLUMN+W-1:W]}];
        weight <= entry[W-1:0];
        adding <= reading; first_add <= first_read; last <= last_read; bias <= bias_read;
        // sum
        if (adding) acc <= (first_add ? bias : acc) + product;
        valid <= adding && last;
        if (reset) begin
            running <= 0; row <= 0; reading <= 0; adding <= 0; valid <= 0;
        end
    end
endmodule
