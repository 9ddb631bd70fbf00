"""Projects, members, sprints, and the resolver of web addresses."""

from starlette.routing import Route

from middleware.lab.sandbox.taiga import errors, events, model, project_views, setup, table_views
from middleware.lab.sandbox.taiga.http import Call, Reply, Resource, page_of
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.routes_items import find_project
from middleware.lab.sandbox.taiga.state import TaigaState

_REQUIRED = "This field is required."


def routes(state: TaigaState) -> list[Route]:
    """The paths of this module."""
    return [
        Route("/projects", Resource(state, GET=list_projects, POST=create_project)),
        Route("/projects/by_slug", Resource(state, GET=project_by_slug)),
        Route("/projects/{id:int}", Resource(state, GET=get_project)),
        Route("/memberships", Resource(state, GET=list_memberships, POST=create_membership)),
        Route("/milestones", Resource(state, GET=list_milestones, POST=create_milestone)),
        Route("/milestones/{id:int}", Resource(state, GET=get_milestone, PATCH=patch_milestone)),
        Route("/resolver", Resource(state, GET=resolve)),
    ]


def _of_member(call: Call) -> list[model.Project]:
    projects = call.state.projects.values()
    return [project for project in projects if call.state.membership(call.user, project) is not None]


def list_projects(call: Call) -> Reply:
    """The projects that the user sees; `member` asks for those of one user."""
    projects = _of_member(call)
    member = call.query.get("member")
    if member is not None:
        projects = [place for place in projects if member in {str(one.user.id) for one in call.state.members_of(place)}]
    return page_of(call, projects, lambda project: project_views.project_row(call.state, project, call.user))


def create_project(call: Call) -> Reply:
    """A new project, owned by the user."""
    body = call.json()
    missing = {name: _REQUIRED for name in ("name", "description") if not body.get(name)}
    if missing:
        raise errors.invalid(**missing)
    project = setup.add_project(call.state, call.member, str(body["name"]), str(body["description"]))
    return Reply(project_views.project_detail(call.state, project, call.user), 201)


def get_project(call: Call) -> Reply:
    """One project by id; strangers get 403."""
    project = call.state.projects.get(call.path["id"])
    if project is None:
        raise errors.no_match("Project")
    call.demand(project, "view_project")
    return Reply(project_views.project_detail(call.state, project, call.user))


def project_by_slug(call: Call) -> Reply:
    """One project by `slug`; strangers get 404."""
    for project in _of_member(call):
        if project.slug == call.query.get("slug"):
            return Reply(project_views.project_detail(call.state, project, call.user))
    raise errors.not_found()


def list_memberships(call: Call) -> Reply:
    """The members of the projects that the user sees; `project` asks for one of them."""
    wanted = call.query.get("project")
    visible = {project.id for project in _of_member(call) if wanted in (None, str(project.id))}
    shown = [place for place in call.state.memberships.values() if place.project.id in visible]
    return page_of(call, shown, table_views.membership)


def create_membership(call: Call) -> Reply:
    """Make a user, named by user name or e-mail address, a member."""
    body = call.json()
    project = find_project(call, body.get("project"))
    call.demand_admin(project)
    role = call.state.roles.get(body.get("role") or 0)
    user = call.state.find_user(str(body.get("username", "")))
    if role is None or role.project_id != project.id:
        raise errors.invalid(role="Invalid role for the project")
    if user is None:
        raise errors.invalid(username="The user must be a valid contact")
    place = setup.add_member(call.state, project, user, role, invited_by=call.member)
    return Reply(table_views.membership(place), 201)


def list_milestones(call: Call) -> Reply:
    """The sprints of the projects that the user sees; `project` asks for one of them."""
    wanted = call.query.get("project")
    visible = {project.id for project in _of_member(call) if wanted in (None, str(project.id))}
    shown = [sprint for sprint in call.state.milestones.values() if sprint.project.id in visible]
    return page_of(call, shown, table_views.milestone)


def create_milestone(call: Call) -> Reply:
    """A new sprint."""
    body = call.json()
    missing = {name: _REQUIRED for name in ("name", "estimated_start", "estimated_finish") if not body.get(name)}
    if missing:
        raise errors.invalid(**missing)
    project = find_project(call, body.get("project"))
    call.demand(project, "add_milestone")
    start, finish = str(body["estimated_start"]), str(body["estimated_finish"])
    sprint = setup.add_milestone(call.state, project, call.member, str(body["name"]), start=start, finish=finish)
    return Reply(table_views.milestone(sprint), 201)


def _find_milestone(call: Call, permission: str) -> model.Milestone:
    sprint = call.state.milestones.get(call.path["id"])
    if sprint is None:
        raise errors.no_match("Milestone")
    call.demand(sprint.project, permission)
    return sprint


def get_milestone(call: Call) -> Reply:
    """One sprint."""
    return Reply(table_views.milestone(_find_milestone(call, "view_milestones")))


def patch_milestone(call: Call) -> Reply:
    """Rename, plan again or close a sprint; it has no version."""
    sprint = _find_milestone(call, "modify_milestone")
    body = call.json()
    for name in events.MILESTONE_FIELDS:
        if name in body:
            setattr(sprint, name, body[name])
    sprint.modified_date = call.state.now()
    events.milestone_change(call.state, sprint, call.member)
    return Reply(table_views.milestone(sprint))


def resolve(call: Call) -> Reply:
    """Ids for what a web address names: `project` (slug) and `task`, `us` or `issue` (ref)."""
    found: Json = {}
    project = next((place for place in _of_member(call) if place.slug == call.query.get("project")), None)
    if project is None:
        raise errors.no_match("Project")
    found["project"] = project.id
    kinds: dict[str, model.Kind] = {"task": "task", "us": "userstory", "issue": "issue"}
    for name, kind in kinds.items():
        if name in call.query:
            found[name] = _by_ref(call, project, kind, call.query[name])
    return Reply(found)


def _by_ref(call: Call, project: model.Project, kind: model.Kind, ref: str) -> int:
    for item in call.state.items(kind).values():
        if item.project is project and str(item.ref) == ref:
            return item.id
    raise errors.not_found()
