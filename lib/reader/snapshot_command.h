/* Telling the snapshots of a slot what to do: a message in the source's WAL that
 * the reader of the slot finds in its stream (snapshot.h). */
#ifndef SNAPSHOT_COMMAND_H
#define SNAPSHOT_COMMAND_H

#include "reader/provision.h"
#include "reader/snapshot_message.h"

/*
 * Tells them to pause, to resume or to be cancelled, and says so on stdout.
 * Returns an exit code: EXIT_NOPERM if the role may not write messages.
 */
int snapshot_command(
    const struct provision_options *o, enum snapshot_kind command);

#endif
