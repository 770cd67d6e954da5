"""Which address is whose."""

from chat import accounts, views
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

urlpatterns = [
    path("", views.home, name="home"),
    path("login", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("whoami", views.whoami, name="whoami"),
    path("chat/check-password", accounts.check, name="check-password"),
    path("chat/user-exists", accounts.exists, name="user-exists"),
    path("strophe/", views.strophe, {"number": 1}, name="strophe"),
    path("strophe/<int:number>/", views.strophe, name="strophe-more"),
    path("strophe/session", views.session, name="session"),
    path("converse/<str:way>/", views.converse, name="converse"),
]
