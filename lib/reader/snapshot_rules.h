/*
 * A test build leaves out one of the rules of the snapshot, to show that the
 * rule is needed (tests/snapshot_rules.bats).
 */
#ifndef SNAPSHOT_RULES_H
#define SNAPSHOT_RULES_H

#ifndef SNAPSHOT_RULES
#define SNAPSHOT_RULES ~0u
#endif
#define SNAPSHOT_RULE(n) ((SNAPSHOT_RULES >> (n)&1) != 0)

#endif
