import CIEvents
import Documents

extension JobMapping {
    static func gitHub(instance: String) -> JobMapping {
        JobMapping(instance: instance) { job, repository in
            GitHub.job(
                fromREST: job,
                repository: ForgeRepository(instance: instance, name: repository.name, isPrivate: repository.isPrivate)
            )
        }
    }

    static func gitLab(instance: String) -> JobMapping {
        JobMapping(instance: instance) { job, project in
            GitLab.job(fromREST: job, project: ForgeRepository(instance: instance, name: project.name, isPrivate: project.isPrivate))
        }
    }
}
