/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What kind of machine this is, from what firmware and kernel say: DMI strings, the processor's hypervisor flag, the
 * marks that container managers leave. Only files are read, nobody is asked, nothing is guessed: a machine without any
 * sign of a hypervisor is bare metal. */

#define MACHINE_TEXT_MAX 128U

typedef enum MachineKind {
        MACHINE_METAL,
        MACHINE_VIRTUAL,
        MACHINE_CONTAINER,
} MachineKind;

typedef struct Machine {
        MachineKind kind;
        const char *cloud;              /* the cloud whose machine DMI says this is, or NULL; static */
        char product[MACHINE_TEXT_MAX]; /* "" where DMI names none */
} Machine;

/* root: "" for this machine, else the folder that stands for / . */
void machine_detect(const char *root, Machine *ret);
