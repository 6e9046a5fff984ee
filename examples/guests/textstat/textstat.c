/* textstat [TOP]: counts what is in a text on stdin and names its TOP most frequent words (10 if not given).

   A line ends with a newline byte. A word is a longest run of ASCII letters, digits, apostrophes and bytes
   >= 0x80 (so words in UTF-8 stay whole); words are compared with ASCII letters in lower case. Equally
   frequent words come in byte order, so that the output depends on nothing but the input. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "input.h"

typedef struct {
    const uint8_t *text;
    size_t length;
    size_t count; /* 0 marks a free slot */
} word_t;

typedef struct {
    word_t *slots;
    size_t size; /* a power of two, at least twice `used` */
    size_t used;
} table_t;

static void fail(const char *reason) {
    fputs("textstat: ", stderr);
    fputs(reason, stderr);
    fputs("\n", stderr);
    exit(1);
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) fail("the words do not fit in memory; raise memory_mb or split the input");
    return memory;
}

static int in_word(uint8_t byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '\'' || byte >= 0x80;
}

static uint32_t fnv1a(const uint8_t *text, size_t length) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ text[i]) * 16777619u;
    return hash;
}

static word_t *find(table_t *table, const uint8_t *text, size_t length) {
    size_t slot = fnv1a(text, length) & (table->size - 1);
    while (table->slots[slot].count) {
        word_t *word = &table->slots[slot];
        if (word->length == length && !memcmp(word->text, text, length)) break;
        slot = (slot + 1) & (table->size - 1);
    }
    return &table->slots[slot];
}

static void grow(table_t *table) {
    table_t larger = {allocate(table->size * 2, sizeof(word_t)), table->size * 2, table->used};
    for (size_t i = 0; i < table->size; i++) {
        word_t *word = &table->slots[i];
        if (word->count) *find(&larger, word->text, word->length) = *word;
    }
    free(table->slots);
    *table = larger;
}

static void count_word(table_t *table, const uint8_t *text, size_t length) {
    word_t *word = find(table, text, length);
    if (word->count++) return;
    word->text = text;
    word->length = length;
    if (++table->used * 2 > table->size) grow(table);
}

static int by_count_then_bytes(const void *left, const void *right) {
    const word_t *a = left, *b = right;
    if (a->count != b->count) return a->count < b->count ? 1 : -1;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->text, b->text, shorter);
    if (order) return order;
    return a->length < b->length ? -1 : a->length > b->length;
}

static void print_figure(const char *name, size_t value) {
    char text[DECIMAL_SIZE];
    fputs(name, stdout);
    putchar(' ');
    puts(decimal(value, text));
}

static void print_top(table_t *table, size_t top) {
    size_t kept = 0;
    for (size_t i = 0; i < table->size; i++) {
        if (table->slots[i].count) table->slots[kept++] = table->slots[i];
    }
    qsort(table->slots, kept, sizeof(word_t), by_count_then_bytes);
    for (size_t i = 0; i < kept && i < top; i++) {
        char count[DECIMAL_SIZE];
        fputs(decimal(table->slots[i].count, count), stdout);
        putchar(' ');
        fwrite(table->slots[i].text, 1, table->slots[i].length, stdout);
        putchar('\n');
    }
}

/* Lower-cases `text` in place and returns the number of words, each counted in `table`. */
static size_t count_words(table_t *table, uint8_t *text, size_t length) {
    size_t words = 0;
    for (size_t at = 0; at < length;) {
        size_t start = at;
        for (; at < length && in_word(text[at]); at++) {
            if (text[at] >= 'A' && text[at] <= 'Z') text[at] += 'a' - 'A';
        }
        if (at == start) {
            at++;
            continue;
        }
        count_word(table, text + start, at - start);
        words++;
    }
    return words;
}

int main(int argc, char **argv) {
    char *end = "";
    unsigned long top = argc > 1 ? strtoul(argv[1], &end, 10) : 10;
    if (argc > 2 || *end) {
        fputs("usage: textstat [TOP]\n", stderr);
        return 2;
    }
    input_t input = read_input();
    if (!input.bytes) fail("stdin cannot be read or does not fit in memory; raise memory_mb or split the input");
    size_t lines = 0;
    for (size_t i = 0; i < input.size; i++) lines += input.bytes[i] == '\n';
    table_t table = {allocate(1024, sizeof(word_t)), 1024, 0};
    size_t words = count_words(&table, input.bytes, input.size);
    print_figure("lines", lines);
    print_figure("words", words);
    print_figure("bytes", input.size);
    print_figure("distinct", table.used);
    print_top(&table, top);
    return 0;
}
