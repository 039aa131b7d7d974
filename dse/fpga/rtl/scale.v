// Requantizes one accumulator in two cycles: y = ZERO + floor((acc * multiplier + 2^(n-1)) / 2^n),
// held within LOW..HIGH, with n = FIXED + further - PRE + 1. Half up is floor((floor(2 y) + 1) / 2),
// so one bit more is kept than a code has. Negative sums are shifted LEAK further.
module scale #(
    parameter ACC = 16, A = 4, PRE = 0, FIXED = 8, S = 1, LEAK = 0, ZERO = 0, LOW = 0, HIGH = 15
) (
    input clk, move,
    input signed [ACC-1:0] acc,
    input [14:0] multiplier,
    input [S-1:0] further,
    output reg [A-1:0] code
);
    localparam PRODUCT = ACC + 15, WIDE = PRODUCT + PRE, KEPT = WIDE - FIXED;
    localparam SUM = (KEPT > A ? KEPT : A) + 2;
    reg signed [PRODUCT-1:0] product;
    reg [S-1:0] shift;
    wire signed [WIDE-1:0] wide = $signed({product, {PRE{1'b0}}});
    wire signed [KEPT-1:0] kept = wide[WIDE-1:FIXED];
    wire [S+4:0] amount = shift + (product[PRODUCT-1] ? LEAK : 0);
    wire signed [KEPT-1:0] twice = kept >>> amount;
    wire signed [SUM-1:0] half_up = (twice + $signed({1'b0, 1'b1})) >>> 1;
    wire signed [SUM-1:0] value = half_up + $signed({1'b0, ZERO[A-1:0]});
    wire below = value < $signed({1'b0, LOW[A-1:0]});
    wire above = value > $signed({1'b0, HIGH[A-1:0]});

    always @(posedge clk) if (move) begin
        product <= acc * $signed({1'b0, multiplier});
        shift <= further;
        code <= below ? LOW : above ? HIGH : value[A-1:0];
    end
endmodule
