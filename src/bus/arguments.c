/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/arguments.h"

#include <string.h>

#include <glib.h>

#include "base/errors.h"
#include "base/names.h"
#include "util/line.h"

/* Get and Set begin with two names, GetAll with one; sd-bus finds what else is wrong by their signatures alone. */
static int check_property(sd_bus_message *call, sd_bus_error *error) {
        const char *name;
        char type;
        int r;

        for (unsigned i = 0; i < 2; i++) {
                if (sd_bus_message_peek_type(call, &type, NULL) <= 0 || type != SD_BUS_TYPE_STRING)
                        break;
                r = sd_bus_message_read_basic(call, SD_BUS_TYPE_STRING, &name);
                if (r < 0)
                        return r;
                if (strlen(name) > CALL_NAME_MAX)
                        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                                 "Expected an interface and a property, of at most %u bytes each.",
                                                 CALL_NAME_MAX);
        }
        return sd_bus_message_rewind(call, 1);
}

int call_check_names(sd_bus_message *call, sd_bus_error *error) {
        int r;

        /* Without an interface it reaches no object. */
        if (strcmp(sd_bus_message_get_interface(call) ?: "", PROPERTIES_INTERFACE) != 0)
                return 0;
        r = check_property(call, error);
        return r < 0 ? r : 0;
}

size_t call_bulk(sd_bus_message *call) {
        const void *data;
        size_t size;

        if (!sd_bus_message_has_signature(call, "ay") || sd_bus_message_rewind(call, 1) < 0 ||
            sd_bus_message_read_array(call, 'y', &data, &size) < 0)
                return 0;
        (void) sd_bus_message_rewind(call, 1);
        return size;
}

int check_text(const char *argument, const char *text, size_t maximum, bool may_be_empty, sd_bus_error *error) {
        size_t length = strlen(text);

        if (length > maximum)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s has %zu bytes, expected at most %zu.",
                                         argument, length, maximum);
        if (length == 0 && !may_be_empty)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s is empty, expected a text.", argument);
        for (const char *p = text; *p; p = g_utf8_next_char(p))
                if (character_steers(g_utf8_get_char(p)))
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                                 "%s has a control character at byte %zu, expected one line of text.",
                                                 argument, (size_t) (p - text));
        return 0;
}
