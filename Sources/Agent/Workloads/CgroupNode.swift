import Energy
import Meters

/// A cgroup in the tree that is watched.
struct CgroupNode {
    /// Of the mount; -1 for a cgroup that only a client named, and that is in no watched tree.
    var parent = -1
    /// -1 where it is in none of them.
    var hierarchy = -1
    var kind = CgroupHierarchy.Kind.unified
    /// Below the mount.
    var path = ""
    var directory = ""
    var depth = 0
    var inode: UInt64 = 0
    var identity = WorkloadIdentity()
    var isUsed = false
    /// Only a client named it: it is in no tree that is watched, and is forgotten with its last curve.
    var isDetached = false

    var children: [Int] = []
    var watch: Int32?
    var populationWatch: Int32?
    /// Nil where the kernel does not say (v1).
    var isPopulated: Bool?
    /// Whether a process ever ran there or below it; nil where the kernel did not say.
    var wasPopulated: Bool?
    /// The last reading was made after its last process had gone: there will be no other value.
    var isFinal = false

    /// When it came to be, as far as is known; for a resident one when it was first seen.
    var born = Timestamp(microseconds: 0)
    /// It was not there before this.
    var bornAfter = Timestamp(microseconds: 0)
    /// It was there before it was watched: its count does not begin at 0.
    var isResident = true
    /// It was there when the agent looked for the first time, such as a slice, and had no curve in an earlier run.
    var isStanding = true
    var died: Timestamp?

    var source: CgroupCPUTime?
    /// The count at the last reading, µs.
    var raw: Int64 = 0
    var rawTime = Timestamp(microseconds: 0)
    /// The period in which the count last moved.
    var lastMove = 0

    // As a parent. What its children have used is `raw - base`; what of it is theirs is `childrenRaw`.
    var base: Int64 = 0
    var childrenRaw: Int64 = 0
    /// Its own processes, or cgroups below it that are not followed, have used of its count since `base`.
    var isBaseStale = false
    /// Children beyond a limit are not followed. Looked at anew until they are, or are gone.
    var hasStrangers = false
    /// Has had cgroups below it.
    var wasParent = false
    /// Those that have died and wait for their last value.
    var vanished: [Int] = []

    /// Found no room among the curves.
    var isUnfollowed = false
    /// Curves that it feeds, as places in `Workloads.slots`.
    var slots: [Int] = []

    var isAlive: Bool { isUsed && died == nil }
    /// Whether it has a curve though there are cgroups below it. One that came to be while the agent runs is somebody's work, and the
    /// work that it puts into cgroups of its own is a part of it.
    var isWhole: Bool { identity.isWhole || !isStanding }
}
