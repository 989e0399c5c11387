// A program whose output must be the same on the host's processor and in the guest: integer, SSE2, x87 long double, sorting, memory.
#include <emmintrin.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 0x9e3779b97f4a7c15u;

// xorshift64*
static uint64_t next(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 2685821657736338717u;
}

static uint64_t hash(const void *data, size_t bytes) {
  uint64_t value = 14695981039346656037u;
  for (const unsigned char *at = data; bytes > 0; bytes--, at++) value = (value ^ *at) * 1099511628211u;
  return value;
}

static void integers(void) {
  uint64_t sum = 0;
  for (int i = 0; i < 20000; i++) {
    uint64_t a = next(), b = next() | 1;
    int64_t sa = (int64_t)a, sb = (int64_t)(b >> (a & 31)) | 1;
    sum += a / b + a % b + (uint64_t)(sa / sb) + (uint64_t)(sa % sb);
    sum ^= (a << (b & 63)) | (a >> (-b & 63));
    sum += (uint64_t)(((unsigned __int128)a * b) >> 64);
    sum += (uint64_t)__builtin_popcountll(a) + (uint64_t)__builtin_clzll(b) + (uint64_t)__builtin_ctzll(b << (a & 31));
    sum = __builtin_bswap64(sum) + (uint32_t)((uint32_t)a / ((uint32_t)b | 1)) + (uint16_t)(a % 65521);
  }
  printf("integers %016" PRIx64 "\n", sum);
}

static void sse2(void) {
  __m128i words = _mm_set_epi32(1, 2, 3, 4);
  __m128d doubles = _mm_set_pd(1.5, -2.25);
  __m128 floats = _mm_set_ps(1, 2, 3, 4);
  for (int i = 0; i < 20000; i++) {
    __m128i random = _mm_set_epi64x((int64_t)next(), (int64_t)next());
    words = _mm_add_epi16(words, _mm_mulhi_epi16(words, random));
    words = _mm_xor_si128(words, _mm_sad_epu8(words, random));
    words = _mm_adds_epu8(words, _mm_slli_epi32(_mm_unpacklo_epi8(words, random), 3));
    words = _mm_sub_epi64(words, _mm_mul_epu32(words, _mm_shuffle_epi32(random, 0x1b)));
    words = _mm_or_si128(words, _mm_cmpgt_epi32(random, words));
    words = _mm_packs_epi32(words, _mm_srai_epi32(random, i & 15));
    doubles = _mm_add_pd(_mm_mul_pd(doubles, _mm_set1_pd(0.99)), _mm_cvtepi32_pd(random));
    doubles = _mm_div_pd(doubles, _mm_add_pd(_mm_sqrt_pd(_mm_mul_pd(doubles, doubles)), _mm_set1_pd(0.125)));
    floats = _mm_sub_ps(_mm_max_ps(floats, _mm_cvtepi32_ps(random)), _mm_min_ps(floats, _mm_set1_ps(7)));
    floats = _mm_sqrt_ps(_mm_mul_ps(floats, floats));
  }
  double pair[2];
  float quad[4];
  _mm_storeu_pd(pair, doubles);
  _mm_storeu_ps(quad, floats);
  printf("sse2 %016" PRIx64 " %.17g %.17g %.9g %.9g %.9g %.9g\n", hash(&words, 16), pair[0], pair[1], quad[0], quad[1], quad[2], quad[3]);
}

static void long_doubles(void) {
  long double sum = 0, product = 1;
  for (int i = 1; i <= 5000; i++) {
    long double x = (long double)(int64_t)next() / 9223372036854775808.0L;
    sum += sqrtl(fabsl(x)) / i - x * x;
    product *= 1 + x / (1000 + i);
    sum += (long double)(int64_t)(x * 1e15L) * 1e-18L + rintl(x * 100) + fmodl(x * 1000, 7);
  }
  unsigned char bytes[2][10];
  memcpy(bytes[0], &sum, 10);
  memcpy(bytes[1], &product, 10);
  printf("long double %016" PRIx64 " %016" PRIx64 " %.21Lg %.21Lg\n", hash(bytes[0], 10), hash(bytes[1], 10), sum, product);
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void sorting(void) {
  enum { COUNT = 30000 };
  uint32_t *list = malloc(COUNT * sizeof *list);
  for (int i = 0; i < COUNT; i++) list[i] = (uint32_t)next();
  qsort(list, COUNT, sizeof *list, by_value);
  for (int i = 1; i < COUNT; i++)
    if (list[i - 1] > list[i]) printf("unsorted at %d\n", i);
  printf("sorting %u %u %016" PRIx64 "\n", list[0], list[COUNT - 1], hash(list, COUNT * sizeof *list));
  free(list);
}

static void memory(void) {
  enum { BYTES = 1 << 20 };
  char *a = malloc(BYTES), *b = calloc(BYTES, 1);
  for (int i = 0; i < BYTES; i += 8) {
    uint64_t value = next();
    memcpy(a + i, &value, 8);
  }
  for (int i = 0; i < 200; i++) {
    size_t from = next() % BYTES, to = next() % BYTES, length = next() % (BYTES - (from > to ? from : to));
    memmove(i & 1 ? a + to : b + to, a + from, length / 8);
    memset(b + to, i, length / 64);
  }
  printf("memory %016" PRIx64 " %016" PRIx64 " %d %zu\n", hash(a, BYTES), hash(b, BYTES), memcmp(a, b, BYTES) != 0, strlen("abc") + strspn(b, ""));
  free(a);
  free(b);
}

int main(void) {
  integers();
  sse2();
  long_doubles();
  sorting();
  memory();
  return 0;
}
