/* Runs model.c on vectors.bin and compares every output; built with MODEL_TRACED, the outputs and
 * every accumulator of the first images only, so that it names the first layer that differs.
 *
 * vectors.bin, little-endian: int64 images, int64 traced images; per image its uint16 input codes,
 * int64 accumulators of all layers (traced images only), int64 outputs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

static FILE *vectors;
static int64_t mismatches;
static int64_t image;

static uint64_t read_bytes(int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++) {
        const int byte = fgetc(vectors);
        if (byte == EOF) {
            printf("vectors.bin is too short\n");
            exit(2);
        }
        value |= (uint64_t)byte << (8 * i);
    }
    return value;
}

static int64_t read_int64(void)
{
    const uint64_t bits = read_bytes(8);
    return bits >> 63 ? -(int64_t)(~bits) - 1 : (int64_t)bits;
}

static void compare(const char *layer, int position, int64_t expected, int64_t actual)
{
    if (expected == actual)
        return;
    if (mismatches == 0)
        printf("first difference: layer %s, image %" PRId64 ", position %d, expected %" PRId64
               ", got %" PRId64 "\n", layer, image, position, expected, actual);
    mismatches++;
}

#ifdef MODEL_TRACED
static const char *const layer_names[] = MODEL_LAYER_NAMES;

/* Layers and positions come in the order of vectors.bin. */
void model_trace(int layer, int position, int64_t accumulator)
{
    compare(layer_names[layer], position, read_int64(), accumulator);
}
#endif

int main(int count, char **arguments)
{
    static uint16_t codes[MODEL_INPUT_SIZE];
    static const int64_t sizes[] = MODEL_LAYER_SIZES;
    int64_t accumulators = 0;

    vectors = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (!vectors) {
        printf("usage: %s vectors.bin\n", arguments[0]);
        return 2;
    }
    for (int layer = 0; layer < MODEL_LAYERS; layer++)
        accumulators += sizes[layer];
    int64_t images = read_int64();
    const int64_t traced = read_int64();
#ifdef MODEL_TRACED
    images = traced;
#endif
    for (image = 0; image < images; image++) {
        static model_input_t input[MODEL_INPUT_SIZE];
        static model_output_t output[MODEL_OUTPUT_SIZE];
        for (int i = 0; i < MODEL_INPUT_SIZE; i++) {
            codes[i] = (uint16_t)read_bytes(2);
            input[i] = (model_input_t)codes[i];
        }
#ifndef MODEL_TRACED
        for (int64_t i = 0; image < traced && i < accumulators; i++)
            read_bytes(8);
#endif
        model_run(input, output);
        for (int i = 0; i < MODEL_OUTPUT_SIZE; i++)
            compare("output", i, read_int64(), (int64_t)output[i]);
    }
    printf("%" PRId64 " images, %" PRId64 " mismatches\n", images, mismatches);
    return mismatches ? 1 : 0;
}
