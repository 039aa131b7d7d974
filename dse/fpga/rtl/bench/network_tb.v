// Streams inputs.mem through `network` and compares what leaves it with expected.mem, word by word.
// Prints the cycle in which every image's last word left, then the images and how many words differ.
// With STALL (percent), random cycles offer no word and take none.
module network_tb;
    `include "network_tb.vh"  // IN, OUT: bits of a word; WORDS_IN, WORDS_OUT: of an image; IMAGES
    parameter STALL = 0, SEED = 1;
    parameter PATIENCE = 1000000;  // cycles without a word, in or out
    reg clk = 0, reset = 1, offer = 1, accept = 1;
    reg [IN-1:0] inputs [0:IMAGES*WORDS_IN-1];
    reg [OUT-1:0] expected [0:IMAGES*WORDS_OUT-1];
    integer cycle = 0, waited = 0, fed = 0, got = 0, wrong = 0, seed = SEED;
    wire in_ready, out_valid;
    wire [OUT-1:0] out_data;
    wire in_valid = !reset && offer && fed < IMAGES * WORDS_IN;
    network unit (
        .clk(clk), .reset(reset), .in_data(inputs[fed]), .in_valid(in_valid), .in_ready(in_ready),
        .out_data(out_data), .out_valid(out_valid), .out_ready(accept)
    );
    always #1 clk = !clk;
    initial begin
        $readmemh("inputs.mem", inputs);
        $readmemh("expected.mem", expected);
        #6 reset = 0;  // between edges
    end
    always @(posedge clk) begin
        if (!reset) cycle <= cycle + 1;
        if (STALL) begin
            // what is offered stays offered
            if (!in_valid || in_ready) offer <= $unsigned($random(seed)) % 100 >= STALL;
            accept <= $unsigned($random(seed)) % 100 >= STALL;
        end
        if (in_valid && in_ready) fed <= fed + 1;
        if (!reset && out_valid && accept) begin
            if (out_data !== expected[got]) begin
                if (wrong == 0) $write("first difference: image %0d, word %0d: %h, expected %h\n",
                    got / WORDS_OUT, got % WORDS_OUT, out_data, expected[got]);
                wrong = wrong + 1;
            end
            if (got % WORDS_OUT == WORDS_OUT - 1) $write("image %0d: cycle %0d\n", got / WORDS_OUT, cycle);
            got = got + 1;
            if (got == IMAGES * WORDS_OUT) begin
                $write("%0d images, %0d words differ\n", IMAGES, wrong);
                $finish;
            end
        end
        waited <= in_valid && in_ready || out_valid && accept ? 0 : waited + 1;
        if (waited > PATIENCE) begin
            $write("no end after %0d cycles: %0d words in, %0d out\n", cycle, fed, got);
            $finish;
        end
    end
endmodule
