// Feeds one decoder with words.mem and fields.mem and prints where it finds weights, one per line.
module decoders_tb;
    parameter KIND = "bitmap", N = 16, R = 4, P = 12, MARK = 0, WORDS = 1, FIELDS = 1, COUNT = 1;
    reg clk = 0, start = 1, ready = 0;
    reg [N-1:0] words [0:WORDS-1];
    reg [R-1:0] fields [0:FIELDS-1];
    integer cycle = 0, loaded = 0, used = 0, got = 0;
    always #1 clk = !clk;
    initial begin
        $readmemh("words.mem", words);
        $readmemh("fields.mem", fields);
    end
    wire any, present, there, begins;
    wire [P-1:0] position;
    generate
        if (KIND == "bitmap") begin : bitmap
            wire [$clog2(N)-1:0] index;
            wire load = ready && !any && loaded < WORDS;
            decode_bitmap #(.N(N)) unit (
                .clk(clk), .load(load || start), .take(any), .word(start ? {N{1'b0}} : words[loaded]),
                .index(index), .any(any));
            always @(posedge clk) if (ready && got < COUNT) begin
                if (load) loaded <= loaded + 1;
                if (any) begin $write("%0d\n", (loaded - 1) * N + index); got = got + 1; end
            end
        end else if (KIND == "gaps") begin : gaps
            decode_gaps #(.R(R), .P(P), .MARK(MARK)) unit (
                .clk(clk), .start(start), .take(ready), .gap(fields[used]),
                .position(position), .present(present));
            always @(posedge clk) if (ready && got < COUNT) begin
                used <= used + 1;
                if (present) $write("%0d\n", position);
                got = got + 1;
            end
        end else if (KIND == "rows") begin : rows
            // words are the ends of the rows; prints row and entry
            decode_rows #(.P(P)) unit (
                .clk(clk), .start(start), .take(ready), .row_end(words[start ? 0 : loaded + 1]),
                .entry(position), .there(there));
            always @(posedge clk) if (ready && got < COUNT) begin
                if (there) begin $write("%0d %0d\n", loaded, position); got = got + 1; end
                else loaded <= loaded + 1;
            end
        end else if (KIND == "coo") begin : coo
            decode_coo #(.P(R)) unit (
                .clk(clk), .start(start), .take(ready), .row(fields[used]), .begins(begins));
            always @(posedge clk) if (ready && got < COUNT) begin
                used <= used + 1;
                if (begins) $write("%0d\n", used);
                got = got + 1;
            end
        end else begin : rice
            wire load = ready && !any && loaded < WORDS;
            decode_rice #(.N(N), .K(R), .P(P)) unit (
                .clk(clk), .start(start), .load(start || load), .take(any),
                .word(start ? {N{1'b0}} : words[loaded]), .remainder(fields[used]),
                .position(position), .any(any));
            always @(posedge clk) if (ready && got < COUNT) begin
                if (load) loaded <= loaded + 1;
                if (any) begin
                    $write("%0d\n", position); used <= used + 1; got = got + 1;
                end
            end
        end
    endgenerate
    always @(posedge clk) begin
        cycle <= cycle + 1;
        start <= cycle < 2;
        ready <= cycle >= 2;
        if (got >= COUNT) $finish;
        if (cycle > 100000) begin $write("timeout\n"); $finish; end
    end
endmodule
