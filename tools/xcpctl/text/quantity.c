/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "quantity.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include <gio/gio.h>

#define USEC_PER_SEC UINT64_C(1000000)

static const char size_letters[] = "KMGTPE";

/* The power of 1024 that a suffix stands for; -1 if it is none. */
static int size_power(const char *suffix) {
        const char *letter;

        if (*suffix == '\0' || strcmp(suffix, "B") == 0)
                return 0;
        letter = strchr(size_letters, g_ascii_toupper(*suffix));
        if (!letter || (suffix[1] != '\0' && strcmp(suffix + 1, "iB") != 0))
                return -1;
        return (int) (letter - size_letters) + 1;
}

/* A number without a sign and what follows it. Whole numbers are exact. */
static bool parse_scaled(const char *text, const char **ret_suffix, uint64_t *ret_whole, double *ret_fraction) {
        char *end;

        if (!g_ascii_isdigit(*text))
                return false;
        errno = 0;
        *ret_whole = g_ascii_strtoull(text, &end, 10);
        if (errno != 0)
                return false;
        *ret_fraction = 0;
        if (*end == '.') {
                size_t n = strspn(end + 1, "0123456789");
                g_autofree char *fraction = g_strndup(end, n + 1);      /* without an exponent, which an E would begin */

                if (n == 0)
                        return false;
                *ret_fraction = g_ascii_strtod(fraction, NULL);
                end += n + 1;
        }
        while (*end == ' ')
                end++;
        *ret_suffix = end;
        return true;
}

/* whole.fraction times scale, if that is a whole number of 64 bits after rounding. */
static bool scaled(uint64_t whole, double fraction, uint64_t scale, uint64_t *ret_number) {
        uint64_t product;

        return !__builtin_mul_overflow(whole, scale, &product) &&
               !__builtin_add_overflow(product, (uint64_t) llround(fraction * (double) scale), ret_number);
}

bool quantity_parse_size(const char *text, uint64_t *ret_bytes, GError **error) {
        const char *suffix;
        uint64_t whole;
        double fraction;
        int power;

        if (parse_scaled(text, &suffix, &whole, &fraction)) {
                power = size_power(suffix);
                if (power >= 0 && scaled(whole, fraction, UINT64_C(1) << (10 * power), ret_bytes))
                        return true;
        }
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "'%.64s' is no size in bytes; write 512M or 1.5GiB, up to 15.9EiB", text);
        return false;
}

bool quantity_parse_duration(const char *text, uint64_t *ret_ms, GError **error) {
        static const struct {
                const char *suffix;
                uint64_t ms;
        } units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "min", 60000 }, { "h", 3600000 } };
        const char *suffix;
        uint64_t whole;
        double fraction;

        if (parse_scaled(text, &suffix, &whole, &fraction))
                for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                        if (strcmp(suffix, units[i].suffix) == 0 && scaled(whole, fraction, units[i].ms, ret_ms))
                                return true;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "'%.64s' is no duration; write 30s, 500ms, 5m or 1h", text);
        return false;
}

bool quantity_parse_number(const char *text, uint64_t max, uint64_t *ret_number, GError **error) {
        if (g_ascii_string_to_unsigned(text, 10, 0, max, ret_number, NULL))
                return true;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "'%.64s' is no number from 0 to %" G_GUINT64_FORMAT, text, max);
        return false;
}

char *quantity_format_size(uint64_t bytes) {
        int power = 0;
        double value;

        for (uint64_t rest = bytes; rest >= 1024; rest >>= 10)
                power++;
        if (power == 0)
                return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
        value = ldexp((double) bytes, -10 * power);
        if (value >= 1023.95 && power < 6) {            /* what rounds to 1024.0 is 1.0 of the next */
                value /= 1024;
                power++;
        }
        if (fabs(value - round(value)) < 0.05)
                return g_strdup_printf("%.0f %ciB", value, size_letters[power - 1]);
        return g_strdup_printf("%.1f %ciB", value, size_letters[power - 1]);
}

static char *two_units(uint64_t seconds, unsigned large, const char *large_name, unsigned small, const char *small_name) {
        uint64_t rest = seconds % large / small;

        if (rest == 0)
                return g_strdup_printf("%" G_GUINT64_FORMAT " %s", seconds / large, large_name);
        return g_strdup_printf("%" G_GUINT64_FORMAT " %s %" G_GUINT64_FORMAT " %s", seconds / large, large_name, rest, small_name);
}

char *quantity_format_duration(uint64_t us) {
        uint64_t seconds = us / USEC_PER_SEC;

        if (us == 0)
                return g_strdup("0 s");
        if (us < 1000)
                return g_strdup_printf("%" G_GUINT64_FORMAT " us", us);
        if (seconds == 0)
                return g_strdup_printf("%" G_GUINT64_FORMAT " ms", us / 1000);
        if (seconds < 10 && us % USEC_PER_SEC >= USEC_PER_SEC / 10)
                return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT " s", seconds, us % USEC_PER_SEC / (USEC_PER_SEC / 10));
        if (seconds < 60)
                return g_strdup_printf("%" G_GUINT64_FORMAT " s", seconds);
        if (seconds < 3600)
                return two_units(seconds, 60, "min", 1, "s");
        if (seconds < 86400)
                return two_units(seconds, 3600, "h", 60, "min");
        return two_units(seconds, 86400, "d", 3600, "h");
}

char *quantity_format_time(uint64_t us) {
        time_t seconds = (time_t) (us / USEC_PER_SEC);
        char text[64];
        struct tm tm;

        if (us == 0)
                return g_strdup("-");
        if (!localtime_r(&seconds, &tm) || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                return g_strdup_printf("%" G_GUINT64_FORMAT, us);
        return g_strdup(text);
}

enum quantity_unit quantity_unit_of(const char *name) {
        static const struct {
                const char *name;
                enum quantity_unit unit;
        } names[] = {
                { "StartedUs", QUANTITY_TIME_US },
                { "CreatedUs", QUANTITY_TIME_US },
                { "FinishedUs", QUANTITY_TIME_US },
                { "PulledUs", QUANTITY_TIME_US },
                { "created_us", QUANTITY_TIME_US },
                { "pulled_us", QUANTITY_TIME_US },
                { "Memory", QUANTITY_SIZE },
                { "Size", QUANTITY_SIZE },
                { "FileSize", QUANTITY_SIZE },
                { "RateLimit", QUANTITY_SIZE },
                { "memory", QUANTITY_SIZE },
                { "memory_max", QUANTITY_SIZE },
                { "memory_free", QUANTITY_SIZE },
                { "memory_used", QUANTITY_SIZE },
                { "size", QUANTITY_SIZE },
                { "block_size", QUANTITY_SIZE },
                { "rate_limit", QUANTITY_SIZE },
                { "bandwidth", QUANTITY_SIZE },
                { "total", QUANTITY_SIZE },
                { "free", QUANTITY_SIZE },
                { "used", QUANTITY_SIZE },
                { "promised", QUANTITY_SIZE },
                { "allocated", QUANTITY_SIZE },
                { "shared", QUANTITY_SIZE },
                { "needed", QUANTITY_SIZE },
                { "bytes_per_second", QUANTITY_SIZE },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (strcmp(names[i].name, name) == 0)
                        return names[i].unit;
        if (g_str_has_suffix(name, "_bytes") || g_str_has_prefix(name, "bytes-"))
                return QUANTITY_SIZE;
        if (g_str_has_suffix(name, "_us") || g_str_has_prefix(name, "us."))     /* the latter as in GetCounters() */
                return QUANTITY_DURATION_US;
        if (g_str_has_suffix(name, "_ms") || g_str_has_suffix(name, "Ms"))
                return QUANTITY_DURATION_MS;
        return QUANTITY_PLAIN;
}

char *quantity_format(enum quantity_unit unit, uint64_t number) {
        switch (unit) {
        case QUANTITY_SIZE:
                return quantity_format_size(number);
        case QUANTITY_DURATION_US:
                return quantity_format_duration(number);
        case QUANTITY_DURATION_MS:
                return number > UINT64_MAX / 1000 ? g_strdup_printf("%" G_GUINT64_FORMAT " ms", number) : quantity_format_duration(number * 1000);
        case QUANTITY_TIME_US:
                return quantity_format_time(number);
        default:
                return g_strdup_printf("%" G_GUINT64_FORMAT, number);
        }
}
