"""Addresses of the pages of orders."""

from django.urls import path

from exchange.orders import views

app_name = "orders"
urlpatterns = [
    path("", views.OrderListView.as_view(), name="list"),
    path("new/", views.NewOrderView.as_view(), name="new"),
    path("import/", views.ImportView.as_view(), name="import"),
    path("import/orders.csv", views.TemplateView.as_view(), name="template"),
    path("<uuid:pk>/", views.OrderView.as_view(), name="detail"),
    path("<uuid:pk>/edit/", views.EditOrderView.as_view(), name="edit"),
    path("<uuid:pk>/cancel/", views.OrderActionView.as_view(action="cancel"), name="cancel"),
    path("<uuid:pk>/reopen/", views.OrderActionView.as_view(action="reopen"), name="reopen"),
    path("<uuid:pk>/films/<int:film>/unlink/", views.UnlinkFilmView.as_view(), name="unlink_film"),
]
