/* The nucleus of each row by two histograms of masses: over the upper and then the lower half of the ordered bits. */

#include <stdint.h>
#include <string.h>

#define HALF 65536

static uint32_t ordered(float score) {
    uint32_t bits;
    score += 0.0f; /* one zero */
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* The greatest bucket at which the mass of those above it, *above included, plus its own passes `mass`. */
static int32_t passing(const double *masses, const uint32_t *counts, double mass, double *above) {
    int32_t last = -1;
    for (int32_t bucket = HALF - 1; bucket >= 0; bucket--) {
        if (!counts[bucket]) continue;
        last = bucket;
        if (*above + masses[bucket] > mass) return bucket;
        *above += masses[bucket];
    }
    *above -= last < 0 ? 0.0 : masses[last]; /* all fit: the lowest bucket there is */
    return last;
}

/* scores, probabilities: rows x vocab; kept: rows x vocab bytes, 1 in the nucleus; masses: room for HALF doubles,
   counts: for HALF numbers. */
void nucleus(const float *scores, const float *probabilities, uint8_t *kept, int64_t rows, int64_t vocab, double mass,
             double *masses, uint32_t *counts) {
    for (int64_t row = 0; row < rows; row++) {
        const float *s = scores + row * vocab, *p = probabilities + row * vocab;
        uint8_t *k = kept + row * vocab;
        double above = 0.0;

        memset(masses, 0, HALF * sizeof *masses);
        memset(counts, 0, HALF * sizeof *counts);
        for (int64_t i = 0; i < vocab; i++) {
            uint32_t bucket = ordered(s[i]) >> 16;
            masses[bucket] += p[i];
            counts[bucket]++;
        }
        uint32_t upper = (uint32_t)passing(masses, counts, mass, &above);

        memset(masses, 0, HALF * sizeof *masses);
        memset(counts, 0, HALF * sizeof *counts);
        for (int64_t i = 0; i < vocab; i++) {
            uint32_t key = ordered(s[i]);
            if (key >> 16 != upper) continue;
            masses[key & 0xffffu] += p[i];
            counts[key & 0xffffu]++;
        }
        uint32_t threshold = upper << 16 | (uint32_t)passing(masses, counts, mass, &above);

        double before = above;
        for (int64_t i = 0; i < vocab; i++) {
            uint32_t key = ordered(s[i]);
            k[i] = key > threshold;
            if (key == threshold && before <= mass) {
                k[i] = 1;
                before += p[i];
            }
        }
    }
}
