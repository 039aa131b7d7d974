// Reads the .mem files of one layer with $readmemh and prints accumulators, the plainest way.
// A linear layer is a 1 x 1 convolution of a 1 x 1 image. One line per row and position, positions
// spread evenly over the output image.
module layer;
    parameter ROWS = 1, GROUPS = 1, CHANNELS = 1, KY = 1, KX = 1;
    parameter IY = 1, IX = 1, OY = 1, OX = 1;
    parameter SY = 1, SX = 1, PY = 0, PX = 0, DY = 1, DX = 1;
    parameter WEIGHT_BITS = 2, BIAS_BITS = 1, ZERO = 0, POSITIONS = 1;

    reg signed [WEIGHT_BITS-1:0] weight [0:ROWS*CHANNELS*KY*KX-1];
    reg signed [BIAS_BITS-1:0] bias [0:ROWS-1];
    reg [15:0] code [0:GROUPS*CHANNELS*IY*IX-1];
    reg signed [63:0] acc;
    integer row, position, pixel, channel, ky, kx, y, x;

    initial begin
        $readmemh("weights.mem", weight);
        $readmemh("bias.mem", bias);
        $readmemh("codes.mem", code);
        for (row = 0; row < ROWS; row = row + 1)
        for (position = 0; position < POSITIONS; position = position + 1) begin
            pixel = position * (OY * OX) / POSITIONS;
            acc = bias[row];
            for (channel = 0; channel < CHANNELS; channel = channel + 1)
            for (ky = 0; ky < KY; ky = ky + 1)
            for (kx = 0; kx < KX; kx = kx + 1) begin
                y = (pixel / OX) * SY + ky * DY - PY;
                x = (pixel % OX) * SX + kx * DX - PX;
                if (y >= 0 && y < IY && x >= 0 && x < IX)
                    acc = acc + weight[((row * CHANNELS + channel) * KY + ky) * KX + kx]
                        * ($signed({1'b0, code[(((row / (ROWS / GROUPS)) * CHANNELS + channel) * IY
                            + y) * IX + x]}) - ZERO);
            end
            $display("%0d", acc);
        end
        $finish;
    end
endmodule
