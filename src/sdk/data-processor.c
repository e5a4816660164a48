/* SPDX-License-Identifier: Apache-2.0 */

/* .DataProcessor: bytes into bytes, a block at once or a stream from one pipe to another. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/errors.h"
#include "sdk/contract.h"

static int method_process_data(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;
        if (size > DATA_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED, "The block has %zu bytes, more than %u", size,
                                         DATA_MAX);
        r = contract_begin(instance, m, CALL_DATA, &call, error);
        if (r < 0)
                return r;
        return call_return(call, instance->plugin.process_data(call, data, size, instance->plugin.userdata));
}

static int pipe_check(int fd, const char *name, int forbidden, sd_bus_error *error) {
        struct stat st;
        int flags;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fstat(fd, &st) < 0)
                return -errno;
        if ((!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) || (flags & O_ACCMODE) == forbidden)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s: expected a pipe that can be %s", name,
                                         forbidden == O_WRONLY ? "read" : "written to");
        return 0;
}

static int method_process_stream(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        const SnoozePluginDictionary *options;
        SnoozePluginCall *call;
        int input, output, r;

        if (!instance->plugin.process_stream)
                return sd_bus_error_setf(error, ERROR_NOT_SUPPORTED, "%s does not support ProcessStream",
                                         instance->plugin.id);
        r = sd_bus_message_read(m, "hh", &input, &output);
        if (r < 0)
                return r;
        r = pipe_check(input, "input", O_WRONLY, error);
        if (r < 0)
                return r;
        r = pipe_check(output, "output", O_RDONLY, error);
        if (r < 0)
                return r;
        r = contract_begin_with_dictionary(instance, m, CALL_RESULT, &call, &options, error);
        if (r < 0)
                return r;
        r = call_set_pipes(call, input, output);
        if (r >= 0)
                r = instance->plugin.process_stream(call, input, output, options, instance->plugin.userdata);
        return call_return(call, r);
}

static int method_abandon_stream(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginCall *call;
        uint32_t serial;
        int r;

        r = sd_bus_message_read_basic(m, 'u', &serial);
        if (r < 0)
                return r;
        call = call_find_stream(userdata, m, serial);
        if (call)
                call_abandon(call);
        return sd_bus_reply_method_return(m, NULL);
}

const sd_bus_vtable data_processor_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("ProcessData", SD_BUS_ARGS("ay", input), SD_BUS_RESULT("ay", output),
                                method_process_data, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ProcessStream", SD_BUS_ARGS("h", input, "h", output, "a{sv}", options),
                                SD_BUS_RESULT("a{sv}", result), method_process_stream, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AbandonStream", SD_BUS_ARGS("u", serial), SD_BUS_NO_RESULT, method_abandon_stream,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
