from django.urls import path

from mlcore import views

app_name = "models"
urlpatterns = [
    path("", views.model_list, name="list"),
    path("<str:name>/", views.model_detail, name="detail"),
    path("<str:name>/transparency/", views.transparency_sheet, name="transparency"),
    path("<str:name>/plots/<str:file>", views.plot, name="plot"),
]
