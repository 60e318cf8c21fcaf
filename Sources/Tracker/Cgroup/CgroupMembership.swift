/// The cgroup that a process runs in.
public struct CgroupMembership: Sendable {
    /// Below the hierarchy's mount.
    public let path: String
    public let directory: String

    /// Nil where the process has ended, or no hierarchy that counts CPU time can be seen, or it runs in the root of it, which is no
    /// cgroup of its own.
    public static func of(process: Int32) -> CgroupMembership? {
        guard let mountInfo = SmallFile.read("/proc/self/mountinfo"), let membership = SmallFile.read("/proc/\(process)/cgroup"),
            let place = CgroupPlace.find(mountInfo: mountInfo, membership: membership).first, place.own != "/"
        else { return nil }
        return CgroupMembership(path: place.own, directory: place.mount + place.own)
    }
}
