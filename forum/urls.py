from django.urls import path

from forum.views import moderation, notifications, posts, topics, writing

app_name = "forum"
urlpatterns = [
    path("", topics.TopicListView.as_view(), name="list"),
    path("new/", topics.NewTopicView.as_view(), name="new"),
    path("<int:pk>/", topics.TopicView.as_view(), name="topic"),
    path("<int:pk>/reply/", topics.ReplyView.as_view(), name="reply"),
    path("<int:pk>/follow/", topics.FollowView.as_view(), name="follow"),
    path("<int:pk>/moderate/", moderation.ModerateTopicView.as_view(), name="moderate"),
    path("<int:pk>/hide/", moderation.HideTopicView.as_view(), name="hide_topic"),
    path("posts/<int:pk>/", posts.PostView.as_view(), name="post"),
    path("posts/<int:pk>/edit/", posts.EditPostView.as_view(), name="edit"),
    path("posts/<int:pk>/delete/", posts.DeletePostView.as_view(), name="delete"),
    path("posts/<int:pk>/undelete/", posts.UndeletePostView.as_view(), name="undelete"),
    path("posts/<int:pk>/history/", posts.PostHistoryView.as_view(), name="history"),
    path("posts/<int:pk>/report/", posts.ReportPostView.as_view(), name="report"),
    path("posts/<int:pk>/hide/", moderation.HidePostView.as_view(), name="hide_post"),
    path("posts/<int:pk>/show/", moderation.ShowPostView.as_view(), name="show_post"),
    path("preview/", writing.PreviewView.as_view(), name="preview"),
    path("people/", writing.PeopleView.as_view(), name="people"),
    path("draft/", writing.DraftView.as_view(), name="draft"),
    path("pictures/", writing.UploadView.as_view(), name="upload"),
    path("pictures/<uuid:pk>/", writing.PictureView.as_view(), name="picture"),
    path("pictures/<uuid:pk>/large/", writing.PicturePageView.as_view(), name="picture_page"),
    path("notifications/", notifications.NotificationsView.as_view(), name="notifications"),
    path("all-read/", notifications.AllReadView.as_view(), name="all_read"),
]
