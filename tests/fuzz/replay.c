/* In place of a fuzzer: runs a target on the files given as arguments, which the normal suite does with each corpus. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t input[1 << 16]; /* no file of the corpus is longer */

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *const stream = fopen(argv[i], "rb");
        if (stream == NULL) {
            fprintf(stderr, "%s: it cannot be opened\n", argv[i]);
            return 1;
        }
        const size_t bytes = fread(input, 1, sizeof input, stream);
        fclose(stream);
        /* A copy of just the size, so that a sanitizer sees reads behind the end. */
        uint8_t *const exact = malloc(bytes > 0 ? bytes : 1);
        if (exact == NULL)
            return 1;
        memcpy(exact, input, bytes);
        LLVMFuzzerTestOneInput(exact, bytes);
        free(exact);
    }
    printf("%d inputs\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
