/// The settings that a new cluster gets. Operators may edit them in `data/postgresql.conf` afterwards.
enum ClusterSettings {
    /// Appended to the `postgresql.conf` that initdb writes.
    static func configuration(hasLZ4: Bool) -> String {
        """

        #------------------------------------------------------------------------------
        # Settings of the embedded cluster. Yours to edit; they are written only once.
        #------------------------------------------------------------------------------
        listen_addresses = ''                   # only the Unix socket, see pg_hba.conf
        unix_socket_permissions = 0700
        max_connections = 60
        shared_buffers = 128MB
        fsync = on                              # nothing acknowledged is lost
        synchronous_commit = on
        timezone = 'UTC'
        log_timezone = 'UTC'
        \(hasLZ4 ? "default_toast_compression = lz4" : "#default_toast_compression = lz4      # this server is built without lz4")
        jit = off                               # compiling costs more than short queries take
        logging_collector = on                  # log/ holds the last seven days
        log_directory = 'log'
        log_filename = 'postgresql-%a.log'
        log_truncate_on_rotation = on
        log_rotation_age = 1d
        log_rotation_size = 0
        log_line_prefix = '%m [%p] %a '

        """
    }

    /// Only the socket, and who comes through it is asked of the kernel.
    static let hostAccess = """
        # TYPE  DATABASE     USER  METHOD
        local   all          all   peer map=embedded
        local   replication  all   peer map=embedded

        """

    /// Root and the owner come in as the cluster's one role.
    static func identities(owner: ServerAccount) -> String {
        var lines = ["# MAPNAME  SYSTEM-USERNAME  PG-USERNAME"]
        for name in owner.name == "root" ? ["root"] : ["root", owner.name] {
            lines.append("embedded \"\(name)\" \(ClusterLayout.role)")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
