"""What a new Scrum project of Taiga 6.10 comes with: recorded from `POST /projects` with `creation_template` 1.

In this template the closed status of tasks and issues is called "Closed"; only stories have "Done".
"""

from typing import Any

TASK_STATUSES = (
    ("New", False, "#70728F"),
    ("In progress", False, "#E47C40"),
    ("Ready for test", False, "#E4CE40"),
    ("Closed", True, "#A8E440"),
    ("Needs Info", False, "#5178D3"),
)
STORY_STATUSES = (
    ("New", False, "#70728F"),
    ("Ready", False, "#E44057"),
    ("In progress", False, "#E47C40"),
    ("Ready for test", False, "#E4CE40"),
    ("Done", True, "#A8E440"),
    ("Archived", True, "#A9AABC"),
)
ISSUE_STATUSES = (
    ("New", False, "#70728F"),
    ("In progress", False, "#40A8E4"),
    ("Ready for test", False, "#E4CE40"),
    ("Closed", True, "#A8E440"),
    ("Needs Info", False, "#E44057"),
    ("Rejected", True, "#A9AABC"),
    ("Postponed", False, "#5178D3"),
)
EPIC_STATUSES = STORY_STATUSES[:5]

ISSUE_TYPES = (("Bug", 1, "#E44057"), ("Question", 2, "#5178D3"), ("Enhancement", 3, "#40E4CE"))
PRIORITIES = (("Low", 1, "#A8E440"), ("Normal", 3, "#E4CE40"), ("High", 5, "#E47C40"))
SEVERITIES = (
    ("Wishlist", 1, "#70728F"),
    ("Minor", 2, "#40A8E4"),
    ("Normal", 3, "#40E47C"),
    ("Important", 4, "#E4A240"),
    ("Critical", 5, "#D35450"),
)
POINTS = (
    ("?", None),
    ("0", 0),
    ("1/2", 0.5),
    ("1", 1),
    ("2", 2),
    ("3", 3),
    ("5", 5),
    ("8", 8),
    ("10", 10),
    ("13", 13),
    ("20", 20),
    ("40", 40),
)
DUE_DATES = (
    ("Default", True, "#9dce0a", None),
    ("Due soon", False, "#ff9900", 14),
    ("Past due", False, "#E44057", 0),
)

_STAKEHOLDER = frozenset(
    [
        "add_issue",
        "modify_issue",
        "delete_issue",
        "view_issues",
        "view_milestones",
        "view_project",
        "view_tasks",
        "view_us",
        "modify_wiki_page",
        "view_wiki_pages",
        "add_wiki_link",
        "delete_wiki_link",
        "view_wiki_links",
        "view_epics",
        "comment_epic",
        "comment_us",
        "comment_task",
        "comment_issue",
        "comment_wiki_page",
    ]
)
_MEMBER = _STAKEHOLDER | frozenset(
    [
        "add_milestone",
        "modify_milestone",
        "delete_milestone",
        "add_task",
        "modify_task",
        "delete_task",
        "add_us",
        "modify_us",
        "delete_us",
        "add_wiki_page",
        "delete_wiki_page",
        "add_epic",
        "modify_epic",
        "delete_epic",
    ]
)
ADMIN_PERMISSIONS = _MEMBER | frozenset(
    [
        "modify_wiki_link",
        "remove_member",
        "admin_roles",
        "admin_project_values",
        "add_member",
        "delete_project",
        "modify_project",
    ]
)

ROLES = (
    ("UX", "ux", True, _MEMBER),
    ("Design", "design", True, _MEMBER),
    ("Front", "front", True, _MEMBER),
    ("Back", "back", True, _MEMBER),
    ("Product Owner", "product-owner", False, _MEMBER),
    ("Stakeholder", "stakeholder", False, _STAKEHOLDER),
)

PROJECT_FLAGS: dict[str, Any] = {
    "total_milestones": None,
    "total_story_points": None,
    "is_contact_activated": True,
    "is_epics_activated": False,
    "is_backlog_activated": True,
    "is_kanban_activated": False,
    "is_wiki_activated": True,
    "is_issues_activated": True,
    "videoconferences": None,
    "videoconferences_extra_data": None,
    "creation_template": 1,
}
PROJECT_PUBLICITY: dict[str, Any] = {
    "anon_permissions": [],
    "public_permissions": [],
    "is_featured": False,
    "is_looking_for_people": False,
    "looking_for_people_note": "",
    "blocked_code": None,
    "archived_code": None,
}
PROJECT_FANS: dict[str, Any] = {
    "total_fans": 0,
    "total_fans_last_week": 0,
    "total_fans_last_month": 0,
    "total_fans_last_year": 0,
}
PROJECT_ADMIN_TAIL: dict[str, Any] = {
    "is_out_of_owner_limits": False,
    "is_private_extra_info": {"can_be_updated": True, "reason": None},
    "max_memberships": None,
    "epics_csv_uuid": None,
    "userstories_csv_uuid": None,
    "tasks_csv_uuid": None,
    "issues_csv_uuid": None,
    "transfer_token": None,
}
