/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The named errors of io.cloudsnooze.Snooze1. A name is API: it stands here, in introspection/ and in a test.
 * errors_register() teaches sd-bus the errno of each, so that sd_bus_error_get_errno() works at both ends. */

#include <systemd/sd-bus.h>

#include "base/names.h"

#define ERROR_HELD SNOOZE_ERROR_PREFIX "Held"                                 /* a block hold stands in the way */
#define ERROR_TOO_LATE SNOOZE_ERROR_PREFIX "TooLate"                          /* the provider has been asked already */
#define ERROR_INVALID_ARGUMENT SNOOZE_ERROR_PREFIX "InvalidArgument" /* says which, where and what was expected */
#define ERROR_INVALID_CONFIGURATION                                                                                   \
        SNOOZE_ERROR_PREFIX "InvalidConfiguration" /* file, path in the JSON, expectation */
#define ERROR_NO_SUCH_PLUGIN SNOOZE_ERROR_PREFIX "NoSuchPlugin"
#define ERROR_NO_SUCH_PROVIDER SNOOZE_ERROR_PREFIX "NoSuchProvider"
#define ERROR_NO_SUCH_HOLD SNOOZE_ERROR_PREFIX "NoSuchHold"
#define ERROR_NO_PROVIDER SNOOZE_ERROR_PREFIX "NoProvider"                    /* nothing is there that could stop it */
#define ERROR_REFUSED SNOOZE_ERROR_PREFIX "Refused" /* the provider, its StopEffect, or those who need it */
#define ERROR_LIMITS_EXCEEDED SNOOZE_ERROR_PREFIX "LimitsExceeded"            /* a ceiling of this caller, or of all */
#define ERROR_NOT_SUPPORTED SNOOZE_ERROR_PREFIX "NotSupported"                /* the plugin lacks the contract */
#define ERROR_NOT_RUNNING SNOOZE_ERROR_PREFIX "NotRunning"         /* plugin disabled, failed or not loaded */
#define ERROR_NOT_APPROVED SNOOZE_ERROR_PREFIX "NotApproved"       /* a plugin asks for what nobody has approved */
#define ERROR_NOT_INITIALIZED SNOOZE_ERROR_PREFIX "NotInitialized" /* called before Handshake and Initialize */
#define ERROR_UNSUPPORTED_API SNOOZE_ERROR_PREFIX "UnsupportedApi" /* a greeting: neither its API, nor the next */
#define ERROR_PLUGIN_FAILED SNOOZE_ERROR_PREFIX "PluginFailed"                /* its answer was an error or rubbish */
#define ERROR_TIMED_OUT SNOOZE_ERROR_PREFIX "TimedOut"                        /* no answer before its deadline */
#define ERROR_THROTTLED SNOOZE_ERROR_PREFIX "Throttled"                       /* provider: ask again later */
#define ERROR_BUSY SNOOZE_ERROR_PREFIX "Busy"                                 /* another operation is under way */
#define ERROR_STORE SNOOZE_ERROR_PREFIX "Store"                               /* could not be made durable */

/* What a refused caller gets is D-Bus's own, which every client knows. */
#define ERROR_ACCESS_DENIED SD_BUS_ERROR_ACCESS_DENIED
#define ERROR_INTERACTION_REQUIRED SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED

/* To be called once, before the first use of sd-bus. 0 or a negative errno. */
int errors_register(void);

/* All of the names above, NULL-terminated, in the order of this file. */
extern const char *const error_names[];
